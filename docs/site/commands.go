package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// helpTime is for one program to say what it can.
const helpTime = 20 * time.Second

// programs are the commands of all programs, by their words: "wholescale trace info".
type programs struct {
	order []string
	of    map[string]command
}

// command is what --help says.
type command struct {
	short string // what its parent says of it
	help  string
	flags map[string]bool
}

// binaries are the programs that people call by name.
var binaries = []string{"wholescale", "controller", "gateway", "provider", "devcluster"}

// ask has each program in bin/ say what it can, and what its subcommands can.
func ask(root string) (programs, error) {
	p := programs{of: map[string]command{}}
	for _, name := range binaries {
		if err := p.ask(filepath.Join(root, "bin", name), []string{name}, ""); err != nil {
			return p, err
		}
	}
	return p, nil
}

var (
	flagName   = regexp.MustCompile(`(?m)^\s+(?:(-\w), )?\s*(--[\w-]+)`)
	subcommand = regexp.MustCompile(`^  ([\w-]+) +(.*)$`)
)

func (p *programs) ask(program string, words []string, short string) error {
	ctx, cancel := context.WithTimeout(context.Background(), helpTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append(words[1:len(words):len(words)], "--help")...).Output()
	if err != nil {
		return fmt.Errorf("asking %s for help (make build makes the programs): %w", strings.Join(words, " "), err)
	}
	c := command{short: short, help: string(out), flags: map[string]bool{"--help": true, "-h": true}}
	for _, m := range flagName.FindAllStringSubmatch(c.help, -1) {
		c.flags[m[1]], c.flags[m[2]] = true, true
	}
	name := strings.Join(words, " ")
	p.order, p.of[name] = append(p.order, name), c
	_, list, _ := strings.Cut(c.help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, line := range strings.Split(list, "\n") {
		m := subcommand.FindStringSubmatch(line)
		if m == nil || m[1] == "help" {
			continue
		}
		if err := p.ask(program, append(words[:len(words):len(words)], m[1]), m[2]); err != nil {
			return err
		}
	}
	return nil
}

// check reads the commands out of the texts' code and looks whether the programs know them.
func (p *programs) check(pages []page) error {
	var errs []error
	for i := range pages {
		for n, line := range commandLines(string(pages[i].text)) {
			if err := p.known(line); err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %w", pages[i].path, n, err))
			}
		}
	}
	return errors.Join(errs...)
}

// commandLines are the lines of code that call one of our programs, by line number, with what a backslash continues.
func commandLines(text string) map[int]string {
	lines := map[int]string{}
	fenced := false
	all := strings.Split(text, "\n")
	for i := 0; i < len(all); i++ {
		line := all[i]
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			continue
		}
		at := i + 1
		for strings.HasSuffix(line, `\`) && i+1 < len(all) {
			i++
			line = strings.TrimSuffix(line, `\`) + all[i]
		}
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		line = strings.TrimPrefix(strings.TrimPrefix(line, "bin/"), "kubectl ")
		for _, b := range binaries {
			if strings.HasPrefix(line, b+" ") && !strings.HasPrefix(line, b+"  ") { // two: a table of results
				lines[at] = line
			}
		}
	}
	return lines
}

// stops end a command within a line.
var stops = map[string]bool{"|": true, ">": true, "#": true, "&&": true, ";": true, "2>": true, "&": true}

// known says what of a command line its program does not know.
func (p *programs) known(line string) error {
	words := strings.Fields(line)
	name := words[0]
	rest := words[1:]
	for len(rest) > 0 {
		if _, ok := p.of[name+" "+rest[0]]; !ok {
			break
		}
		name, rest = name+" "+rest[0], rest[1:]
	}
	if name == words[0] && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && strings.Contains(p.of[name].help, "Available Commands:") {
		return fmt.Errorf("%s has no command %q", name, rest[0])
	}
	for _, w := range rest {
		if stops[w] {
			return nil
		}
		flag, _, _ := strings.Cut(w, "=")
		if strings.HasPrefix(flag, "-") && flag != "-" && flag != "--" && !p.of[name].flags[flag] {
			return fmt.Errorf("%s has no flag %s", name, flag)
		}
	}
	return nil
}
