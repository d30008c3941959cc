package wording

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// several is a commit of a run.
func several(n int) Commit {
	c := Commit{Cluster: "prod", Destination: "live", Run: "r1", Created: n - 2, Updated: 1, Deleted: 1, More: max(0, n-Listed)}
	for i := range min(n, Listed) {
		name := fmt.Sprint("web-", i)
		c.Changes = append(c.Changes, Change{"Create", "configmaps shop/" + name, "configmaps", "shop", name})
	}
	return c
}

func TestWords(t *testing.T) {
	t.Parallel()
	live, cluster, run := one("", created), one("", updated), several(3)
	for name, test := range map[string]struct {
		part   Part
		text   string
		commit Commit
		want   string
	}{
		"constant":              {Subject, "chore: mirror", live, "chore: mirror"},
		"a change":              {Subject, "{{.Action}} {{.Object}}x", live, "Create deployments.apps shop/webx"},
		"its parts":             {Subject, "x {{.Resource}} {{with .Namespace}}{{.}}/{{end}}{{.Name}}", live, "x deployments.apps shop/web"},
		"without a namespace":   {Subject, "x {{.Resource}} {{with .Namespace}}{{.}}/{{end}}{{.Name}}", cluster, "x namespaces shop"},
		"where it is":           {Subject, "[{{.Cluster}}/{{.Destination}}]", live, "[prod/live]"},
		"a run":                 {Subject, "{{if .Run}}run {{.Run}}: +{{.Created}} ~{{.Updated}} -{{.Deleted}}{{else}}live{{end}}", run, "run r1: +1 ~1 -1"},
		"no run":                {Subject, "{{if .Run}}run {{.Run}}{{else}}live{{end}}", live, "live"},
		"one or several":        {Subject, "{{if .Action}}{{.Object}}{{else}}{{len .Changes}} changes{{end}}", run, "3 changes"},
		"comparisons":           {Subject, `{{if and (eq .Action "Create") (gt .Created 0)}}new {{end}}x`, live, "new x"},
		"else if":               {Subject, `{{if eq .Action "Delete"}}gone{{else if eq .Action "Create"}}new{{else}}x{{end}}`, live, "new"},
		"space at the ends":     {Subject, " \n x \t\n", live, "x"},
		"space within":          {Subject, "a{{- /* on two lines */}}\n{{- .Name}}", live, "aweb"},
		"what does not print":   {Subject, "a\x1b[31m\u2028b\tc", live, "a [31m b c"},
		"a list":                {Body, "{{range .Changes}}- {{.}}\n{{end}}", run, "- Create configmaps shop/web-0\n- Create configmaps shop/web-1\n- Create configmaps shop/web-2"},
		"a list's fields":       {Body, "{{range .Changes}}{{.Action}} {{.Name}} by {{$.Run}}\n{{else}}none{{end}}", run, "Create web-0 by r1\nCreate web-1 by r1\nCreate web-2 by r1"},
		"of a list within with": {Body, "{{with .Run}}{{range $.Changes}}{{break}}{{end}}{{.}}{{end}}", run, "r1"},
		"paragraphs":            {Body, "\n\none  \n\n  two\n\n", live, "one\n\n  two"},
		"nothing":               {Body, "{{if .More}}and {{.More}} more{{end}}", live, ""},
		"how many more":         {Body, "{{if .More}}and {{.More}} more{{end}}", several(Listed + 7), "and 7 more"},
	} {
		tmpl, err := Parse(test.part, test.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := tmpl.Words(test.commit); got != test.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		part Part
		text string
		want string // all of it, where it does not end in an ellipsis
	}{
		"not closed":               {Subject, "{{.Action", "is no Go template: line 1: unclosed action; correct it"},
		"no end":                   {Body, "\n{{if .Run}}x", "is no Go template: line 2: unexpected EOF; correct it"},
		"a word of it":             {Subject, `{{if .Run}}{{end "hunter2"}}`, "is no Go template: line 1: unexpected a word in end; correct it"},
		"no field":                 {Subject, "{{.Bogus}}", "uses .Bogus, which is not there; there are .Action, .Object, .Resource, .Namespace, .Name, .Cluster, .Destination, .Run, .Created, .Updated, .Deleted, .Changes, .More"},
		"where no sample comes":    {Body, `{{if eq .Name "other"}}{{.Bogus}}{{end}}`, "uses .Bogus, which is not there; …"},
		"in an else":               {Body, `{{if .Cluster}}{{else}}{{.Bogus}}{{end}}`, "uses .Bogus, …"},
		"not of a change":          {Body, "{{range .Changes}}{{.Run}}{{end}}", "uses .Run, which is not there; there are .Action, .Object, .Resource, .Namespace, .Name"},
		"of a text":                {Body, "{{with .Namespace}}{{.Name}}{{end}}", "uses .Name, which is not there; a value has no fields of its own: within with, write $ before the field of a commit"},
		"a method":                 {Body, "{{.String}}", "uses .String, …"},
		"of a function's":          {Body, "{{with len .Changes}}{{.Name}}{{end}}", "uses .Name, …"},
		"a function":               {Subject, `{{printf "%1000000d" 1}}`, "uses the function printf; there are only and, or, not, eq, ne, lt, le, gt, ge, len"},
		"a function nobody knows":  {Subject, "{{env}}", "uses the function env; …"},
		"a function as a value":    {Body, "{{eq (html .Name) .Name}}", "uses the function html; …"},
		"arguments to no function": {Subject, `{{.Name "x"}}`, "gives arguments to what is no function; write each value in {{ }} of its own"},
		"a variable":               {Body, `{{$x := .Name}}{{$x}}`, "sets a variable; write the fields themselves"},
		"variables of a range":     {Body, `{{range $i, $c := .Changes}}{{end}}`, "has a range over something else than .Changes, …"},
		"a long range":             {Body, "{{range 1000000000}}{{end}}", "has a range over something else than .Changes, or one within another; write {{range .Changes}}"},
		"ranges within ranges":     {Body, "{{range .Changes}}{{range $.Changes}}x{{end}}{{end}}", "has a range over something else than .Changes, …"},
		"ranges within with":       {Body, "{{range .Changes}}{{with .Name}}{{range $.Changes}}x{{end}}{{end}}{{end}}", "has a range over something else than .Changes, …"},
		"a range of a change":      {Body, "{{with .Name}}{{range .Changes}}x{{end}}{{end}}", "uses .Changes, …"},
		"another template":         {Body, `{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`, "defines other templates; write one that stands for itself"},
		"itself":                   {Body, `{{template "body"}}`, "uses define, block, template or the like; write text, fields, if, with and range .Changes only"},
		"nil":                      {Body, `{{eq nil nil}}`, "uses a value that templates of messages do not know; write fields, texts and numbers"},
		"a field of parentheses":   {Body, `{{(.Change).Name}}`, "uses a value that templates of messages do not know; …"},
		"texts with numbers":       {Body, `{{if gt .Created "1"}}x{{end}}`, "compares or counts what cannot be, for a live creation; compare values of one kind: texts with texts, numbers with numbers"},
		"too long":                 {Body, strings.Repeat("x", 8193), "is longer than 8192 bytes; shorten it"},
		"no subject":               {Subject, "{{/* */}}", "gives no text, for a live creation; …"},
		"none where it is cut":     {Subject, strings.Repeat(" ", 300), "gives no text, for a live creation; …"},
		"none for a run": {
			Subject, "{{.Action}}{{with .Object}} {{.}}{{end}}",
			"gives no text, for a run that changes several objects; a subject needs some: .Action, .Object, .Resource and .Name are empty in a commit of several changes, so begin with {{if .Action}} and write an {{else}}",
		},
		"none for a window": {Subject, "{{if .Run}}a run{{else}}{{.Object}}{{end}}", "gives no text, for live changes that one commit joins; …"},
		"two lines":         {Subject, "{{.Action}}\nx", "gives several lines, for a live creation; write a subject of one line, with {{- and -}} where it is long"},
		"a trailer":         {Body, "x\n\nKubescribe-Position: a/b/9", "gives a line that begins with Kubescribe- or Field-Manager, for a live creation; those trailers are kubescribe's own, and are added to every message; begin it otherwise"},
		"a subject as one":  {Subject, "kubescribe-position: x", "gives a line that begins with Kubescribe- or Field-Manager, …"},
		"the manager's":     {Body, "x\nField-Manager: {{.Name}}", "gives a line that begins with Kubescribe- or Field-Manager, …"},
		"one made of parts": {Body, "{{range .Changes}}\n {{\"KUBESCRIBE\"}}-Origin: {{.Name}}{{end}}", "gives a line that begins with Kubescribe- or Field-Manager, …"},
	} {
		_, err := Parse(test.part, test.text)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		if want, cut := strings.CutSuffix(test.want, "…"); err.Error() != want && (!cut || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %q, want %q", name, err, test.want)
		}
	}
}

// TestWordsAreCut: at the end of a rune, and saying so.
func TestWordsAreCut(t *testing.T) {
	t.Parallel()
	c := one("", created)
	c.Name = strings.Repeat("ä", 150)
	subject, err := Parse(Subject, "x {{.Name}}")
	if err != nil {
		t.Fatal(err)
	}
	got, err := subject.Words(c)
	if want := "x " + strings.Repeat("ä", 99) + "…"; got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	body, err := Parse(Body, "{{range .Changes}}"+strings.Repeat("y", 1000)+"\n{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	got, err = body.Words(several(Listed))
	if len(got) != 32<<10+len("…") || !strings.HasSuffix(got, "y…") || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestWordsOfOthers: what no sample is may give what is no such words.
func TestWordsOfOthers(t *testing.T) {
	t.Parallel()
	odd := one("", created)
	odd.Name = "odd"
	named := one("", created)
	named.Name = "Kubescribe-Position: a"
	for name, test := range map[string]struct {
		part   Part
		text   string
		commit Commit
	}{
		"nothing":           {Subject, `{{if ne .Name "odd"}}x{{end}}`, odd},
		"lines":             {Subject, `a{{if eq .Name "odd"}}` + "\n" + `b{{end}}`, odd},
		"what cannot be":    {Body, `{{if eq .Name "odd"}}{{len .Created}}{{end}}`, odd},
		"a name as trailer": {Body, "x\n\n{{.Name}}", named},
	} {
		tmpl, err := Parse(test.part, test.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := tmpl.Words(test.commit); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestWordsOfNames: a name adds no line.
func TestWordsOfNames(t *testing.T) {
	t.Parallel()
	c := one("", Change{"Create", "roles a\nKubescribe-Position: x", "roles\x00", "n\r\nn", "a\u2028\n\nb"})
	tmpl, err := Parse(Body, "{{.Object}}|{{.Resource}}|{{.Namespace}}|{{.Name}}{{range .Changes}}|{{.}}{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	want := "roles a Kubescribe-Position: x|roles|n n|a b|Create roles a Kubescribe-Position: x"
	if got, err := tmpl.Words(c); got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzTemplate: whatever is taken ends, is bounded, and gives no line that looks like a
// trailer.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		"{{.Action}} {{.Object}}x", "{{range .Changes}}- {{.}}\n{{end}}", "{{if .Run}}{{.Created}}{{else}}x{{end}}",
		"{{with .Namespace}}{{.}}{{end}}", `{{if eq .Action "Create"}}a{{else if gt .More 3}}b{{end}}`, "{{range .Changes}}{{break}}{{end}}",
		"Kubescribe-", "{{.Changes}}", "{{len .Changes | eq 3}}", `{{define "x"}}{{end}}`,
	} {
		f.Add(text, "web", true)
		f.Add(text, "a\n\nKubescribe-Position: a/b/9", false)
	}
	f.Fuzz(func(t *testing.T, text, name string, subject bool) {
		part := Body
		if subject {
			part = Subject
		}
		tmpl, err := Parse(part, text)
		if err != nil {
			return
		}
		long := several(Listed + 9)
		long.Changes[0].Name, long.Destination = name, name
		change := one("", Change{"Update", name, name, name, name})
		for _, c := range []Commit{long, change} {
			words, err := tmpl.Words(c)
			if err != nil {
				continue
			}
			if len(words) > maxBody+len("…") || subject && (len(words) > maxSubject+len("…") || words == "" || strings.Contains(words, "\n")) || !utf8.ValidString(words) {
				t.Fatalf("gives %q", words)
			}
			for line := range strings.Lines(words) {
				if isReserved(line) {
					t.Fatalf("gives %q", words)
				}
			}
		}
	})
}
