package v1alpha1

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxProblem puts an error of the YAML library into words and lines of our own. Its
// parser, unlike its scanner, counts lines from 0.
func syntaxProblem(chunk []byte, err error) (line int, text string) {
	m := syntaxError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		return 1, "is not valid YAML; correct it"
	}
	line, _ = strconv.Atoi(m[1])
	text = m[2]
	if line == 0 || parserError.MatchString(text) {
		line++
	}
	lines := bytes.Split(chunk, []byte("\n"))
	line = min(line, len(lines))
	if strings.Contains(text, "cannot start any token") || strings.Contains(text, "tab character") {
		for i, l := range lines[line-1 : min(line+1, len(lines))] {
			if tabIndent.Match(l) {
				return line + i, "is indented with a tab, which YAML does not allow; use spaces"
			}
		}
	}
	advice := "check quotes and indentation here and just before"
	switch {
	case strings.Contains(text, "unknown anchor"): // its name would be echoed
		text, advice = "unknown anchor", "aliases are not supported, so put a text that begins with * in quotes"
	case strings.Contains(text, "<document start>"):
		advice = "put a line of --- between documents"
	case strings.Contains(text, "UTF-8") || strings.Contains(text, "control characters"):
		advice = "save the file as plain UTF-8 text"
	}
	return line, "is not valid YAML: " + text + "; " + advice
}

var (
	parserError = regexp.MustCompile(`^did not find expected (',' or|'-' indicator|<document start>|key|node content)`)
	tabIndent   = regexp.MustCompile(`^ *\t`)
)
