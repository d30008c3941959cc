package exclusion

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the reference")

// TestReference: what users read is the list. make generate rewrites it.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "exclusions.md")
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not of this list: run make generate", path)
	}
}

// reference is the list as a page of Markdown.
func reference() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from shared/exclusion by make generate. Do not edit. -->
# What is not mirrored by default

Rules that select everything leave these out. A GitDestination lifts an exclusion by its name
(` + "`spec.withoutExclusions`" + `). What a rule is to leave out besides
stands in its ` + "`spec.exclude`" + `. ` + "`kubescribe explain exclusions`" + ` prints this list.

| name | left out | because | types |
|---|---|---|---|
`)
	for _, e := range All() {
		types := "by what is in the object"
		if len(e.Types) > 0 {
			types = "`" + strings.Join(e.Types, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Name, e.What, e.Why, types)
	}
	return b.String()
}
