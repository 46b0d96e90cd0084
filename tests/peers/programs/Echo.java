// `java Echo.java ADDRESS PORT`: com.sun.net.httpserver, the server that every JDK has.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

public class Echo {
  public static void main(String[] args) throws Exception {
    var server = HttpServer.create(new InetSocketAddress(args[0], Integer.parseInt(args[1])), 0);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.createContext("/", exchange -> {
      var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.ISO_8859_1);
      var target = exchange.getRequestURI().toString();
      var line = String.format("{\"method\": \"%s\", \"target\": \"%s\", \"body\": \"%s\"}\n", exchange.getRequestMethod(), target, body);
      var bytes = line.getBytes(StandardCharsets.ISO_8859_1);
      exchange.sendResponseHeaders(200, bytes.length);
      try (var out = exchange.getResponseBody()) {
        out.write(bytes);
      }
    });
    server.start();
  }
}
