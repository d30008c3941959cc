package v1alpha1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What [Load] reads at most.
const (
	MaxSize      = 4 << 20
	MaxDocuments = 10_000
)

// Load reads a file of YAML or JSON documents, calling it name in messages, and
// returns them with defaults set and validated. If anything is wrong it returns no
// documents, and an error that is [Problems] in the order of lines, or whatever
// reading from r failed with.
//
// Decoding is strict: unknown fields, duplicate keys, empty values and values of
// another type are problems. Documents without content are skipped. What kubectl get
// -o yaml writes can be read: the items of a List, and without what the cluster has
// written into them (see the package's promises).
func Load(r io.Reader, name string) (*Documents, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	l := &loader{file: name, docs: &Documents{}, origins: make(map[string][]origin), complete: true}
	switch {
	case len(data) > MaxSize:
		l.add(Problem{Line: 1, Text: "is larger than 4 MiB; a configuration is much smaller, so check that this is one"})
	default:
		l.stream(data)
		l.validate()
	}
	if len(l.found) == 0 {
		return l.docs, nil
	}
	slices.SortStableFunc(l.found, func(a, b Problem) int { return a.Line - b.Line })
	return nil, l.found
}

// origin is where an object came from.
type origin struct {
	document int
	offset   int // to add to the lines of root
	root     *yaml.Node
	problems Problems // of decoding
}

type loader struct {
	file     string
	docs     *Documents
	origins  map[string][]origin // by kind, parallel to the list in docs
	read     int                 // documents so far
	count    int                 // of these with content
	found    Problems
	complete bool // no document is unknown or has an unreadable name

	undecoded int // problems of decoding, those past maxProblems too
}

func (l *loader) add(p Problem) {
	if len(l.found) == maxProblems {
		return
	}
	p.File = l.file
	l.found = append(l.found, p)
}

// stream cuts at document markers, so that a syntax error spoils only its own
// document: a line that begins with --- is one wherever it stands.
func (l *loader) stream(data []byte) {
	begin, beginLine := 0, 1
	for at, line := 0, 1; at < len(data); line++ {
		next := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		if marker.Match(data[at:next]) {
			l.chunk(data[begin:at], beginLine-1)
			begin, beginLine = at, line
		}
		at = next
	}
	l.chunk(data[begin:], beginLine-1)
	if l.count == 0 && len(l.found) == 0 {
		l.add(Problem{Line: 1, Text: "is empty; write at least a GitRemote, a GitDestination and a WatchRule or ClusterWatchRule"})
	}
}

var marker = regexp.MustCompile(`^---[ \t\r\n]|^---$`)

func (l *loader) chunk(chunk []byte, offset int) {
	if l.read > MaxDocuments {
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(chunk))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			return
		}
		if !l.another(max(root.Line, 1) + offset) {
			return
		}
		if err != nil {
			l.count++
			l.complete = false
			line, text := syntaxProblem(chunk, err)
			l.add(Problem{Line: line + offset, Document: l.count, Text: text})
			return
		}
		if len(root.Content) == 1 && !isBlankDocument(root.Content[0]) {
			l.count++
			if scalar(root.Content[0], "apiVersion") == "v1" && scalar(root.Content[0], "kind") == "List" {
				l.list(root.Content[0], offset)
				continue
			}
			l.document(root.Content[0], offset)
		}
	}
}

// another reports whether one more document is read, which begins at a line.
func (l *loader) another(line int) bool {
	if l.read++; l.read > MaxDocuments {
		l.complete = false
		l.add(Problem{Line: line, Text: fmt.Sprintf("has more than %d documents; a configuration has far fewer, so check that this is one", MaxDocuments)})
		return false
	}
	return true
}

// list decodes what kubectl get -o yaml writes of several objects. Each item is a document
// of the list's number.
func (l *loader) list(root *yaml.Node, offset int) {
	from := origin{document: l.count, offset: offset, root: root}
	d := decoder{offset: offset, report: func(line int, path, _, text string) {
		l.complete = false
		l.add(Problem{Line: line + offset, Document: from.document, Path: path, Text: text})
	}}
	d.entries(root, "", root.Line, func(key, value *yaml.Node, path string) {
		switch {
		case key.Value == "apiVersion", key.Value == "kind", key.Value == "metadata":
		case key.Value != "items":
			d.report(key.Line, path, "", "unknown field; known here: apiVersion, kind, metadata, items")
		case value.Kind != yaml.SequenceNode:
			d.report(key.Line, path, "", "must be a list, not "+describe(value)+"; correct it")
		default:
			for _, item := range value.Content {
				if !l.another(item.Line + offset) {
					return
				}
				l.document(item, offset)
			}
		}
	})
}

func isBlankDocument(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null"
}

// document decodes one document into the list of its kind.
func (l *loader) document(root *yaml.Node, offset int) {
	from := origin{document: l.count, offset: offset, root: root}
	if root.Kind != yaml.MappingNode {
		l.unreadable(from, "", "is "+describe(root)+" and not a mapping; write apiVersion, kind, metadata and spec")
		return
	}
	apiVersion, kind := scalar(root, "apiVersion"), scalar(root, "kind")
	known := []string{KindGitRemote, KindGitDestination, KindWatchRule, KindClusterWatchRule}
	if apiVersion != APIVersion {
		l.unreadable(from, "apiVersion", unknownText(apiVersion)+"; write "+APIVersion)
	}
	if !slices.Contains(known, kind) {
		l.unreadable(from, "kind", unknownText(kind)+"; write one of "+strings.Join(known, ", "))
	}
	if apiVersion != APIVersion {
		return
	}
	switch kind {
	case KindGitRemote:
		l.docs.GitRemotes = append(l.docs.GitRemotes, decode[GitRemote](l, kind, from))
	case KindGitDestination:
		l.docs.GitDestinations = append(l.docs.GitDestinations, decode[GitDestination](l, kind, from))
	case KindWatchRule:
		l.docs.WatchRules = append(l.docs.WatchRules, decode[WatchRule](l, kind, from))
	case KindClusterWatchRule:
		l.docs.ClusterWatchRules = append(l.docs.ClusterWatchRules, decode[ClusterWatchRule](l, kind, from))
	}
}

func (l *loader) unreadable(from origin, path, text string) {
	l.complete = false
	l.add(Problem{Line: lineOf(from.root, path) + from.offset, Document: from.document, Path: path, Text: text})
}

func unknownText(value string) string {
	if value == "" {
		return "is required"
	}
	return subject(value) + "is not known"
}

// scalar is the text at a top-level key, empty if there is none.
func scalar(root *yaml.Node, key string) string {
	if root.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i < len(root.Content); i += 2 {
		if root.Content[i].Value == key && root.Content[i+1].Kind == yaml.ScalarNode {
			return root.Content[i+1].Value
		}
	}
	return ""
}

// decode keeps its problems in the origin until the object's name is known.
func decode[T any](l *loader, kind string, from origin) T {
	var object T
	d := decoder{offset: from.offset, report: func(line int, path, hides, text string) {
		if top, _, nested := strings.Cut(path, "."); !nested || top == "metadata" {
			l.complete = false
		}
		if l.undecoded++; l.undecoded > maxProblems {
			return
		}
		from.problems = append(from.problems, Problem{
			Line: line + from.offset, Document: from.document, Path: path, Text: text, hides: hides,
		})
	}}
	d.value(from.root, reflect.ValueOf(&object).Elem(), "", from.root.Line)
	l.origins[kind] = append(l.origins[kind], from)
	return object
}

// validate sets defaults and gathers what decoding and validation found.
func (l *loader) validate() {
	SetDefaults(l.docs)
	for i := range l.docs.GitRemotes {
		l.decoded(KindGitRemote, i, l.docs.GitRemotes[i].Namespace, l.docs.GitRemotes[i].Name)
	}
	for i := range l.docs.GitDestinations {
		l.decoded(KindGitDestination, i, l.docs.GitDestinations[i].Namespace, l.docs.GitDestinations[i].Name)
	}
	for i := range l.docs.WatchRules {
		l.decoded(KindWatchRule, i, l.docs.WatchRules[i].Namespace, l.docs.WatchRules[i].Name)
	}
	for i := range l.docs.ClusterWatchRules {
		l.decoded(KindClusterWatchRule, i, l.docs.ClusterWatchRules[i].Namespace, l.docs.ClusterWatchRules[i].Name)
	}
	for _, p := range l.docs.problems(l.complete && l.count > 0) {
		if p.kind == "" {
			p.Line = 1
			l.add(p)
			continue
		}
		from := l.origins[p.kind][p.index]
		if slices.ContainsFunc(from.problems, func(cause Problem) bool { return within(p.Path, cause.hides) }) {
			continue
		}
		p.Line, p.Document = lineOf(from.root, p.Path)+from.offset, from.document
		l.add(p)
	}
}

func (l *loader) decoded(kind string, index int, namespace, name string) {
	for _, p := range l.origins[kind][index].problems {
		p.Object = objectName(kind, namespace, name)
		l.add(p)
	}
}

// within tells whether path is parent or below it.
func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && parent != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
