// The program of Vault, as its module has it: what the peers' rows of the benchmark start as a server.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
