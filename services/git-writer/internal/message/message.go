// Package message writes commit messages and reads the position back from them.
//
// The position is the ledger: everything of a branch's messages in KS_WRITE up
// to it is in that commit, in its ancestors, or was no change; or it is listed as held,
// and comes later.
package message

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/wording"
)

// The trailers (git-interpret-trailers(1)) of every commit.
const (
	TrailerPosition    = "Kubescribe-Position"
	TrailerHeld        = "Kubescribe-Held"
	TrailerStored      = "Kubescribe-Stored"
	TrailerOrigin      = "Kubescribe-Origin"
	TrailerDestination = "Kubescribe-Destination"
	TrailerResource    = "Kubescribe-Resource"
	TrailerVersion     = "Kubescribe-Resource-Version"
	TrailerManager     = "Field-Manager"
	TrailerCoAuthor    = "Co-authored-by"
)

// Position says how far a branch has come.
type Position struct {
	Incarnation string // of the streams: sequences of another mean nothing
	BranchKey   string // commits merged in from other branches carry theirs
	Seq         uint64 // of KS_WRITE
	// Held are the sequences up to it that the branch does not hold yet: a trailer of its
	// own, where there are any.
	Held []uint64
	// Stored is when the message there was: KS_WRITE restored from an older copy has another
	// one there, if any. A trailer of its own; zero in commits of before it was, and where the
	// message had been removed.
	Stored time.Time
}

// held is the value of their trailer.
func (p Position) held() string { return strings.Trim(fmt.Sprint(p.Held), "[]") }

// stored is the value of its trailer.
func (p Position) stored() string {
	if p.Stored.IsZero() {
		return ""
	}
	return p.Stored.UTC().Format(time.RFC3339Nano)
}

// String is the trailer's value.
func (p Position) String() string {
	return p.Incarnation + "/" + p.BranchKey + "/" + strconv.FormatUint(p.Seq, 10)
}

// Item is one change of a commit.
type Item struct {
	Change event.Change
	Effect repo.What // on the tree it was committed to
	Note   string    // what else there is to say of it: it is …
	// CoAuthor is who made the change, where that is known and is not the commit's author.
	CoAuthor event.Person
}

// line is what a list says of it.
func (i Item) line() string {
	line := i.Effect.String() + " " + wording.OneLine(i.object())
	if i.Note != "" {
		line += " (" + i.Note + ")"
	}
	return line
}

// object is whose file it is; its path, where nothing else is known.
func (i Item) object() string {
	if i.Change.Name == "" {
		return i.Change.Path
	}
	return i.Change.Object.String()
}

// Live is the message of one change's commit.
func Live(i Item, d event.DestinationKey, p Position, w Words) string {
	var b strings.Builder
	body := ""
	if i.Note != "" {
		body = "It is " + i.Note + "."
	}
	w.begin(&b, []Item{i}, d, i.Effect.String()+" "+wording.OneLine(i.object()), body)
	trailers(&b, i.Change.Origin, i.Change.Run, d, p)
	trailer(&b, TrailerResource, i.Change.APIVersion+" "+i.object())
	trailer(&b, TrailerVersion, i.Change.ResourceVersion)
	trailer(&b, TrailerManager, i.Change.FieldManager)
	coAuthors(&b, []Item{i})
	return b.String()
}

// Reconcile is the message of a commit that holds what a run found.
func Reconcile(items []Item, d event.DestinationKey, p Position, w Words) string {
	subject := "Mark the folder of " + d.Name
	if len(items) > 0 {
		subject = "Reconcile " + d.Name + ": " + counts(items)
	}
	return several(subject, items, event.Reconcile, d, p, w)
}

// Window is the message of a commit of live changes that came while a window was open.
func Window(items []Item, d event.DestinationKey, p Position, w Words) string {
	return several("Change "+d.Name+": "+counts(items), items, event.Live, d, p, w)
}

// counts is how many objects were created, updated and deleted.
func counts(items []Item) string {
	var n [3]int
	for _, i := range items {
		n[i.Effect]++
	}
	var counts []string
	for e, what := range []string{"created", "updated", "deleted"} {
		if n[e] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n[e], what))
		}
	}
	return strings.Join(counts, ", ")
}

// several lists items below a subject.
func several(subject string, items []Item, origin event.Origin, d event.DestinationKey, p Position, w Words) string {
	run := ""
	var list []string
	for k, i := range items {
		run = i.Change.Run
		if k == wording.Listed {
			list = append(list, fmt.Sprintf("and %d more", len(items)-wording.Listed))
			break
		}
		list = append(list, i.line())
	}
	var b strings.Builder
	w.begin(&b, items, d, subject, strings.Join(list, "\n"))
	trailers(&b, origin, run, d, p)
	if origin == event.Live { // what a run puts right was not done by who wrote the object last
		managers(&b, items)
	}
	coAuthors(&b, items)
	return b.String()
}

// namedManagers is how many field managers a commit names at most.
const namedManagers = 20

// managers names each once, in their order.
func managers(b *strings.Builder, items []Item) {
	var names []string
	for _, i := range items {
		names = append(names, wording.OneLine(i.Change.FieldManager))
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
	for _, name := range names[:min(len(names), namedManagers)] {
		trailer(b, TrailerManager, name)
	}
}

// coAuthors names each once, as forges read it.
func coAuthors(b *strings.Builder, items []Item) {
	named := map[event.Person]bool{{}: true}
	for _, i := range items {
		if !named[i.CoAuthor] {
			named[i.CoAuthor] = true
			trailer(b, TrailerCoAuthor, i.CoAuthor.Name+" <"+i.CoAuthor.Email+">")
		}
	}
}

func trailers(b *strings.Builder, origin event.Origin, run string, d event.DestinationKey, p Position) {
	trailer(b, TrailerPosition, p.String())
	trailer(b, TrailerHeld, p.held())
	trailer(b, TrailerStored, p.stored())
	trailer(b, TrailerOrigin, strings.TrimSpace(string(origin)+" "+run))
	trailer(b, TrailerDestination, d.String())
}

// trailer writes one line.
func trailer(b *strings.Builder, key, value string) {
	if value = wording.OneLine(value); value != "" {
		fmt.Fprintf(b, "%s: %s\n", key, value)
	}
}

// ParsePosition reads the position from a commit's message, if it has one of
// this incarnation and branch. Only the trailers count: the last paragraph. What is
// held, and when its message was stored, stand on the lines behind its position; such a line that was not written here makes the
// position none.
func ParsePosition(msg, incarnation, branchKey string) (p Position, ok bool) {
	msg = strings.TrimRight(msg, "\n")
	if i := strings.LastIndex(msg, "\n\n"); i >= 0 {
		msg = msg[i+2:]
	}
	lines := strings.Split(msg, "\n")
	for i, line := range lines {
		value, is := strings.CutPrefix(line, TrailerPosition+": ")
		if !is {
			continue
		}
		if found, is := parsePosition(value, lines[i+1:]); is && found.Incarnation == incarnation && found.BranchKey == branchKey && found.Seq >= p.Seq {
			p, ok = found, true
		}
	}
	return p, ok
}

// parsePosition reads the value of a position, and the lines behind it.
func parsePosition(value string, behind []string) (p Position, ok bool) {
	parts := strings.Split(value, "/")
	if len(parts) != 3 {
		return p, false
	}
	seq, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return p, false
	}
	p = Position{Incarnation: parts[0], BranchKey: parts[1], Seq: seq}
	if list, is := next(&behind, TrailerHeld); is {
		words := strings.Fields(list)
		if len(words) > ledger.MaxHeld {
			return p, false
		}
		for _, word := range words {
			n, err := strconv.ParseUint(word, 10, 64)
			if err != nil || n > seq {
				return p, false
			}
			p.Held = append(p.Held, n)
		}
	}
	if stored, is := next(&behind, TrailerStored); is {
		if p.Stored, err = time.Parse(time.RFC3339Nano, stored); err != nil {
			return p, false
		}
	}
	return p, true
}

// next takes the next line if it is that trailer.
func next(lines *[]string, key string) (value string, is bool) {
	if len(*lines) == 0 {
		return "", false
	}
	if value, is = strings.CutPrefix((*lines)[0], key+": "); is {
		*lines = (*lines)[1:]
	}
	return value, is
}
