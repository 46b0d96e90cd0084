// `java Ask.java URL`: Java's HttpClient. In clear it offers h2c with its first request, as browsers never did.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class Ask {
  static final String BODY = "0123456789".repeat(20_000);
  static final HttpClient CLIENT = HttpClient.newHttpClient();

  static void judge(String method, String url, String body) throws Exception {
    var publisher = body.isEmpty() ? BodyPublishers.noBody() : BodyPublishers.ofString(body);
    var answer = CLIENT.send(HttpRequest.newBuilder(URI.create(url)).method(method, publisher).build(), BodyHandlers.ofString());
    var said = answer.body().replace(" ", "");
    if (answer.statusCode() != 200 || !said.contains("\"method\":\"" + method + "\"") || !said.contains("\"body\":\"" + body + "\""))
      throw new Exception(method + ": " + answer.statusCode());
  }

  public static void main(String[] args) throws Exception {
    judge("POST", args[0], BODY);
    for (int number = 0; number < 20; number++) judge("GET", args[0] + number, "");
    System.out.println("ok");
  }
}
