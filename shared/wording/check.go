package wording

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// functions are those that templates may use. None of them makes text, so that what
// a template gives grows with what it is given alone.
var functions = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len"}

var (
	commitType = reflect.TypeFor[Commit]()
	changeType = reflect.TypeFor[Change]()
)

// check allows what is documented, in branches too that no sample takes.
func check(root *parse.ListNode) error { return scope{dot: commitType}.list(root) }

// scope is what a part of a template is in.
type scope struct {
	dot     reflect.Type // of {{.}}; nil: of something that has no fields
	looping bool         // in a range
}

func (s scope) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := s.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (s scope) node(n parse.Node) error {
	switch n := n.(type) {
	case *parse.TextNode, *parse.BreakNode, *parse.ContinueNode:
		return nil
	case *parse.ActionNode:
		_, err := s.pipe(n.Pipe)
		return err
	case *parse.IfNode:
		return s.branch(n.BranchNode, s)
	case *parse.WithNode:
		in := s
		var err error
		if in.dot, err = s.pipe(n.Pipe); err != nil {
			return err
		}
		return s.branch(n.BranchNode, in)
	case *parse.RangeNode:
		if over := n.Pipe.String(); s.looping || over != ".Changes" && over != "$.Changes" {
			return errors.New("has a range over something else than .Changes, or one within another; write {{range .Changes}}")
		}
		return s.branch(n.BranchNode, scope{changeType, true})
	}
	return errors.New("uses define, block, template or the like; write text, fields, if, with and range .Changes only")
}

// branch checks what is asked, what is done if so, and what is done otherwise.
func (s scope) branch(n parse.BranchNode, in scope) error {
	if _, err := s.pipe(n.Pipe); err != nil {
		return err
	}
	if err := in.list(n.List); err != nil {
		return err
	}
	return s.list(n.ElseList)
}

// pipe is the type of what a pipeline gives, nil for one without fields.
func (s scope) pipe(p *parse.PipeNode) (is reflect.Type, err error) {
	if len(p.Decl) > 0 {
		return nil, errors.New("sets a variable; write the fields themselves")
	}
	for _, c := range p.Cmds {
		if is, err = s.command(c); err != nil {
			return nil, err
		}
	}
	return is, nil
}

func (s scope) command(c *parse.CommandNode) (is reflect.Type, err error) {
	if _, calls := c.Args[0].(*parse.IdentifierNode); !calls && len(c.Args) > 1 {
		return nil, errors.New("gives arguments to what is no function; write each value in {{ }} of its own")
	}
	for _, a := range c.Args {
		if is, err = s.operand(a); err != nil {
			return nil, err
		}
	}
	if len(c.Args) > 1 {
		is = nil
	}
	return is, nil
}

func (s scope) operand(n parse.Node) (reflect.Type, error) {
	switch n := n.(type) {
	case *parse.DotNode:
		return s.dot, nil
	case *parse.FieldNode:
		return field(s.dot, n.Ident)
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return field(commitType, n.Ident[1:])
		}
		return nil, errors.New("uses a variable; write the fields themselves")
	case *parse.IdentifierNode:
		if !slices.Contains(functions, n.Ident) {
			return nil, fmt.Errorf("uses the function %s; there are only %s", n.Ident, strings.Join(functions, ", "))
		}
		return nil, nil //nolint:nilnil // no type
	case *parse.PipeNode:
		return s.pipe(n)
	case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return nil, nil //nolint:nilnil // no type
	}
	return nil, errors.New("uses a value that templates of messages do not know; write fields, texts and numbers")
}

// field follows the names of fields from a type.
func field(from reflect.Type, names []string) (reflect.Type, error) {
	for _, name := range names {
		f, ok := reflect.StructField{}, false
		if from != nil && from.Kind() == reflect.Struct {
			f, ok = from.FieldByName(name)
		}
		if !ok {
			return nil, fmt.Errorf("uses .%s, which is not there; %s", name, known(from))
		}
		from = f.Type
	}
	return from, nil
}

// known names the fields that there are.
func known(from reflect.Type) string {
	if from == nil || from.Kind() != reflect.Struct {
		return "a value has no fields of its own: within with, write $ before the field of a commit"
	}
	var names []string
	for _, f := range reflect.VisibleFields(from) {
		if !f.Anonymous {
			names = append(names, "."+f.Name)
		}
	}
	return "there are " + strings.Join(names, ", ")
}

// quoted is a piece of a template in an error of its parser.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(?:\.\.\.)?`)

// gist is what the parser says, without its own name for the template, and without
// pieces of it, which may be anything: a URL with a password.
func gist(err error) string {
	words := strings.TrimPrefix(err.Error(), "template: ")
	if _, after, ok := strings.Cut(words, ":"); ok { // behind the name of the part
		words = "line " + after
	}
	return quoted.ReplaceAllString(printing(words), "a word")
}
