// Command man makes manual pages of what the programs say with --help, and of all their subcommands':
//
//	go run ./man --bin ../../bin --to ../../out/man
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pages are the programs and the names of their pages: those of the processes would be too common.
var pages = [][2]string{
	{"wholescale", "wholescale"}, {"controller", "wholescale-controller"}, {"gateway", "wholescale-gateway"}, {"provider", "wholescale-provider"},
}

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	to := flag.String("to", "out/man", "folder for the pages")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := os.MkdirAll(*to, 0o755)
	for _, p := range pages {
		if err == nil {
			err = write(ctx, command{filepath.Join(*bin, p[0]), nil, p[1], ""}, *to)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// command is a program with the words that choose one of its subcommands.
type command struct {
	program string
	words   []string
	page    string // its name
	short   string // what its parent says of it; empty at the top
}

// write makes the page of a command and of those below it.
func write(ctx context.Context, c command, to string) error {
	text, err := exec.CommandContext(ctx, c.program, append(c.words, "--help")...).Output()
	if err != nil {
		return fmt.Errorf("asking %s %s for help: %w", c.program, strings.Join(c.words, " "), err)
	}
	h := parse(string(text))
	if err := os.WriteFile(filepath.Join(to, c.page+".1"), []byte(page(c.page, c.short, h)), 0o644); err != nil {
		return err
	}
	for _, sub := range h.commands {
		if name := sub[0]; name != "help" && name != "completion" {
			below := command{c.program, append(c.words[:len(c.words):len(c.words)], name), c.page + "-" + name, sub[1]}
			if err := write(ctx, below, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// help is what cobra prints: what it is about, and sections that begin with a line such as "Flags:".
type help struct {
	about    string
	sections [][2]string // title and text
	commands [][2]string // name and what it does
}

func parse(text string) (h help) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i > 0 && line != "" && line[0] != ' ' && strings.HasSuffix(line, ":") && lines[i-1] == "" {
			h.sections = append(h.sections, [2]string{strings.TrimSuffix(line, ":")})
			continue
		}
		if len(h.sections) == 0 {
			h.about += line + "\n"
			continue
		}
		last := &h.sections[len(h.sections)-1]
		if strings.HasPrefix(line, "Use \"") { // points to --help of the same commands
			continue
		}
		last[1] += line + "\n"
		if words := strings.Fields(line); last[0] == "Available Commands" && len(words) > 0 {
			h.commands = append(h.commands, [2]string{words[0], strings.Join(words[1:], " ")})
		}
	}
	return h
}

// page is in the man macros.
func page(name, short string, h help) string {
	about := strings.TrimSpace(h.about)
	if short == "" {
		short, _, _ = strings.Cut(about, "\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" Wholescale\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), name, escape(short))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", strings.ReplaceAll(escape(about), "\n\n", "\n.PP\n"))
	for _, s := range h.sections {
		if strings.TrimSpace(s[1]) == "" {
			continue
		}
		fmt.Fprintf(&b, ".SH %s\n.nf\n%s\n.fi\n", strings.ToUpper(s[0]), escape(strings.Trim(s[1], "\n")))
	}
	return b.String()
}

// escape keeps roff from reading text as its own.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
