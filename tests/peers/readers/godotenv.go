// Command godotenv reads .env files with github.com/joho/godotenv: a file in base64 per line of stdin, its meaning as JSON per
// line of stdout, null where it cannot be read. With files as arguments it prints their string literals instead, one JSON
// string per line: among them are the inputs of a test suite.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"

	"github.com/joho/godotenv"
)

func printJSON(value interface{}) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func literals(name string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		panic(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				printJSON(text)
			}
		}
		return true
	})
}

func read(line string) (meaning map[string]string) {
	defer func() {
		if recover() != nil {
			meaning = nil
		}
	}()
	bytes, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		panic(err)
	}
	meaning, err = godotenv.Unmarshal(string(bytes))
	if err != nil {
		return nil
	}
	return meaning
}

func main() {
	if len(os.Args) > 1 {
		for _, name := range os.Args[1:] {
			literals(name)
		}
		return
	}
	os.Clearenv()
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		printJSON(read(line[:len(line)-1]))
	}
}
