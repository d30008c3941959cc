package repo

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
)

// Op is one file to write or to delete.
type Op struct {
	Path    string
	Content []byte // not to be modified any more once handed over
	Delete  bool
	// New says that nothing may stand at Path but this Content, or the blob
	// Replaces if that is not zero: anything else there is a PathConflictError.
	New      bool
	Replaces plumbing.Hash
}

// Signature says who and when. What Git cannot hold is cleaned out of it.
type Signature struct {
	Name, Email string
	When        time.Time
}

// Commit is a commit to be made.
type Commit struct {
	// Ops apply together. Of several with one path the last counts;
	// deletions come before writes.
	Ops               []Op
	Author, Committer Signature
	// Message, which is required, is called with what the commit really
	// changes, in the order of Ops, and again whenever the commit is rebuilt on another base. It must
	// not call the Branch.
	Message func(changes []Change) string
	// Sign is called with the content of the commit, whenever it is built. Nil: the
	// commit is not signed.
	Sign Sign
	// Position is the caller's number of this commit, never lower than the
	// one before; see Result.Position.
	Position uint64
}

// Sign gives the signature of the content of an object, in armor.
type Sign func(content []byte) (armored []byte, err error)

// Change is what one Op came to.
type Change struct {
	Path string
	What What
}

// What says what happened to a file.
type What int

// What can happen to a file.
const (
	Created What = iota
	Updated
	Deleted
)

// String is the verb of a commit's subject.
func (w What) String() string {
	switch w {
	case Created:
		return "Create"
	case Updated:
		return "Update"
	case Deleted:
		return "Delete"
	}
	return "Change"
}

// appendCommit appends the content of a commit object: header lines, an empty
// line, the message.
func appendCommit(b []byte, root, parent plumbing.Hash, author, committer Signature, message string) []byte {
	b = append(append(append(b, "tree "...), root.String()...), '\n')
	if !parent.IsZero() {
		b = append(append(append(b, "parent "...), parent.String()...), '\n')
	}
	b = append(author.append(append(b, "author "...)), '\n')
	b = append(committer.append(append(b, "committer "...)), '\n')
	b = append(b, '\n')
	b = append(b, cleanMessage(message)...)
	return b
}

// signed is the content of a commit object with the signature of that content in
// its last header, as git commit-tree -S writes it: lines but the first begin with
// a space.
func signed(content []byte, sign Sign) ([]byte, error) {
	armored, err := sign(content)
	if err != nil {
		return nil, fmt.Errorf("signing a commit: %w", err)
	}
	header, message, _ := bytes.Cut(content, []byte("\n\n")) // no header is an empty line
	b := make([]byte, 0, len(content)+len(armored)+64)
	b = append(append(b, header...), "\ngpgsig "...)
	b = append(b, bytes.ReplaceAll(bytes.TrimRight(armored, "\n"), []byte("\n"), []byte("\n "))...)
	return append(append(b, "\n\n"...), message...), nil
}

// append writes the signature as name <email> seconds zone.
func (s Signature) append(b []byte) []byte {
	email := cleanIdent(s.Email)
	name := cleanIdent(s.Name)
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	if name == "" {
		name = "unknown"
	}
	b = append(append(b, name...), " <"...)
	b = append(append(b, email...), "> "...)
	// Git's dates begin in 1970, and fsck refuses a minus.
	b = strconv.AppendInt(b, max(s.When.Unix(), 0), 10)
	return s.When.AppendFormat(append(b, ' '), "-0700")
}

// cleanIdent takes out of a name or an address what would end it early.
func cleanIdent(s string) string {
	if cleanest(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '<' || r == '>':
			return -1
		case unicode.IsControl(r):
			return ' '
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "�"))
	return strings.Join(strings.Fields(s), " ")
}

// cleanest says of what most are like that nothing is to be done: letters, digits, and
// what goes between them in an address.
func cleanest(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '@':
		default:
			return false
		}
	}
	return true
}

// cleanMessage makes a message that ends in one newline and has no NUL.
func cleanMessage(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "�")
	return strings.TrimRight(s, "\n") + "\n"
}
