package sops

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// ErrNotOurs says that a file does not begin as [Encrypt] has it begin, and as sops leaves it.
var ErrNotOurs = errors.New("reading an encrypted file: kubescribe did not write it")

// State is what a file tells without a key. Whoever can write to the repository can make it
// tell anything.
type State struct {
	Mark       string   // of the plaintext that was encrypted
	Recipients []string // who can decrypt it, sorted: age's alone
	Fields     []string // whose values are encrypted, sorted; none if the rule is not ours
	// Changed says that something has written to the file since, like sops rotate or an
	// editor: nobody who cannot decrypt it knows whether the mark is still right.
	Changed bool

	changedTo string // what tells it from others
}

// Hash is what to compare with [secretmark.Hash] of what should be there. That of a file that was changed
// is no other's.
func (s State) Hash() string {
	return secretmark.Hash(s.Mark+s.changedTo, s.Recipients, s.Fields)
}

// Read reads a file that Encrypt wrote, or that stock sops has written since (edit, set,
// updatekeys, rotate). It looks at lines and parses no YAML: its work is linear, and what
// sops writes is always in lines.
func Read(file []byte) (State, error) {
	if len(file) > maxFile {
		return State{}, ErrNotOurs
	}
	var s State
	var sum string
	rest := file
	for bytes.HasPrefix(rest, []byte("#")) && (s.Mark == "" || sum == "") {
		var line string
		line, rest = cutLine(rest)
		if v, ok := strings.CutPrefix(line, contentPrefix); ok && s.Mark == "" {
			s.Mark = v
		}
		if v, ok := strings.CutPrefix(line, filePrefix); ok && sum == "" {
			sum = v
		}
	}
	meta, ok := metadataOf(rest)
	if _, marked := secretmark.KeyID(s.Mark); !marked || !ok {
		return State{}, ErrNotOurs
	}
	s.Recipients, s.Fields = readMetadata(meta)
	if len(s.Recipients) == 0 {
		return State{}, ErrNotOurs
	}
	if sum != digest(s.Mark, rest) || !bytes.HasPrefix(file, []byte(head(s.Mark, sum))) {
		s.Changed, s.changedTo = true, "\n"+digest("", file)
	}
	return s, nil
}

func cutLine(b []byte) (line string, rest []byte) {
	l, rest, _ := bytes.Cut(b, []byte("\n"))
	return string(l), rest
}

// metadataOf is the field of sops: the lines behind its key that are indented. No other line
// of a manifest reads so: what a text block holds is indented.
func metadataOf(body []byte) (lines []byte, ok bool) {
	const key = "\n" + metadataKey + ":\n"
	i := bytes.LastIndex(body, []byte(key))
	if i < 0 {
		return nil, false
	}
	lines = body[i+len(key):]
	for n := 0; n < len(lines); {
		if lines[n] != ' ' {
			return lines[:n], true
		}
		end := bytes.IndexByte(lines[n:], '\n')
		if end < 0 {
			break
		}
		n += end + 1
	}
	return lines, true
}

// readMetadata finds the recipients, in whatever group of keys they stand, and the rule.
func readMetadata(lines []byte) (recipients, fields []string) {
	for line := range bytes.Lines(lines) {
		text := strings.TrimRight(strings.TrimLeft(string(line), " -"), "\n")
		if name, ok := strings.CutPrefix(text, "recipient: "); ok {
			recipients = append(recipients, name)
		}
		if regex, ok := strings.CutPrefix(text, "encrypted_regex: "); ok {
			fields = parseRule(regex)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(recipients))), fields
}

// parseRule reads a rule as Encrypt writes it.
func parseRule(regex string) []string {
	names, ok := strings.CutPrefix(regex, ruleStart)
	names, closed := strings.CutSuffix(names, ruleEnd)
	if !ok || !closed {
		return nil
	}
	fields := strings.Split(names, "|")
	if r, err := newRule(fields); err != nil || !slices.Equal(r, fields) {
		return nil
	}
	return fields
}
