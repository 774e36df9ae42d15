package main

import (
	"fmt"
	"testing"
)

func TestPageOfHelp(t *testing.T) {
	h := parse("Do it.\n.And 'more':\n\nUsage:\n  a [command]\n\nAvailable Commands:\n  b           Do b\n  help        Help\n\nFlags:\n      --x string   a \\ (default \".\")\n\nUse \"a [command] --help\" for more.\n")
	if got := fmt.Sprint(h.commands); got != "[[b Do b] [help Help]]" {
		t.Errorf("commands %s", got)
	}
	want := ".TH A 1 \"\" Wholescale\n.SH NAME\na \\- Do it.\n.SH DESCRIPTION\nDo it.\n\\&.And 'more':\n.SH USAGE\n.nf\n  a [command]\n.fi\n" +
		".SH AVAILABLE COMMANDS\n.nf\n  b           Do b\n  help        Help\n.fi\n.SH FLAGS\n.nf\n      \\-\\-x string   a \\e (default \".\")\n.fi\n"
	if got := page("a", "", h); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
