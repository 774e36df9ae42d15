// Package plot is what our pages are drawn with, the simulator's report and the live page: uPlot, and a style for light and
// dark.
package plot

import (
	"embed"
	"strings"
)

//go:embed page.css uplot
var files embed.FS

// Script is uPlot with its licence.
func Script() string {
	return "/*\n" + file("uplot/LICENSE") + "*/\n" + file("uplot/uPlot.iife.min.js")
}

// Style is uPlot's and that of our pages.
func Style() string { return file("uplot/uPlot.min.css") + "\n" + file("page.css") }

// file is an embedded one. Line ends are as HTML parsers leave them, or hashes of it would not match.
func file(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
