// `go run ask.go URL`: Go's net/http as a client. It asks as every client here does, and prints "ok".
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func judge(method, url, body string) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	var echo struct{ Method, Body string }
	var answer *http.Response
	if err == nil {
		answer, err = http.DefaultClient.Do(request)
	}
	if err == nil {
		err = json.NewDecoder(answer.Body).Decode(&echo)
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	if err != nil || answer.StatusCode != 200 || echo.Method != method || echo.Body != body {
		fmt.Println(method, answer, err)
		os.Exit(1)
	}
}

func main() {
	url := os.Args[1]
	judge("POST", url, strings.Repeat("0123456789", 20_000))
	for number := 0; number < 20; number++ {
		judge("GET", fmt.Sprintf("%s%d", url, number), "")
	}
	fmt.Println("ok")
}
