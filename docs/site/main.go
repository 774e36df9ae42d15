// Command site makes static pages of the documentation:
//
//	go run . --root ../.. --to ../../out/site
//
// It fails when a link leads nowhere, a picture is missing, a page is in no list, a test that a text names does not
// exist, or a command in it has a subcommand or flag that the program does not know.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("root", "../..", "folder of the repository, with programs built in bin/")
	to := flag.String("to", "../../out/site", "folder for the pages")
	flag.Parse()
	if err := run(*root, *to); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func run(root, to string) error {
	pages, err := read(root)
	if err != nil {
		return err
	}
	programs, err := ask(root)
	if err != nil {
		return err
	}
	if err := programs.check(pages); err != nil {
		return err
	}
	reference, err := references(root, programs)
	if err != nil {
		return err
	}
	s := site{root: root, pages: bySection(append(pages, reference...))}
	if err := s.render(); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	return s.write(to)
}
