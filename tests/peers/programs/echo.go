// `go run echo.go ADDRESS PORT`: Go's net/http as a server.
package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
)

func main() {
	echo := func(answer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		said := map[string]string{"method": request.Method, "target": request.RequestURI, "body": string(body)}
		json.NewEncoder(answer).Encode(said)
	}
	panic(http.ListenAndServe(os.Args[1]+":"+os.Args[2], http.HandlerFunc(echo)))
}
