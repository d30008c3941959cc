package cases

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

// count is how many cases there are.
const count = 20

// The tests within TestBus, which runs all of them, are the keys of a table.
const (
	suite = "shared/bus/bustest"
	table = "tests"
)

// TestList: each case has its number, says what it is, and has tests for each of its parts; each of
// them is in the source, and so is what is named within it.
func TestList(t *testing.T) {
	all := List()
	if len(all) != count {
		t.Errorf("%d cases are listed, want %d", len(all), count)
	}
	for n, c := range all {
		if c.Number != n+1 || c.What == "" || len(c.Parts) == 0 {
			t.Errorf("case %d is %+v", n+1, c)
		}
		for _, p := range c.Parts {
			if p.What == "" || len(p.Tests) == 0 {
				t.Errorf("case %d, %s: nobody plays it", c.Number, p.What)
			}
			for _, test := range p.Tests {
				if err := there(root, test); err != nil {
					t.Errorf("case %d, %s: %s %s: %v", c.Number, p.What, test.Package, test.Name, err)
				}
			}
		}
	}
}

// TestThere: what is not in the source is noticed.
func TestThere(t *testing.T) {
	for name, want := range map[Test]error{
		{"test/integration/cases", "TestThere"}:      nil,
		{"test/integration/cases", "TestThere/this"}: nil,
		{"test/integration/cases", "TestThere/that"}: errNoPart,
		{"test/integration/cases", "TestNowhere"}:    errNoTest,
		{"test/integration/cases", "there"}:          errNoTest,
		{"test/integration/nowhere", "TestThere"}:    fs.ErrNotExist,
		{onBus, "TestBus/fencing"}:                   nil,
		{onBus, "TestBus/" + "nothing of the suite"}: errNoPart,
		{onBus, "TestBus/configmaps"}:                errNoPart, // which the suite says, and is no test of it
		{onBus, "TestBusKilled/fencing"}:             errNoPart,
	} {
		if err := there(root, name); !errors.Is(err, want) {
			t.Errorf("%+v: %v", name, err)
		}
	}
	t.Run("this", func(*testing.T) {})
}

// What is wrong with a test that is named.
var (
	errNoTest = errors.New("there is no such test")
	errNoPart = errors.New("nothing in it has that name")
)

// there is nil if a test is in the source of its package. What is named within it is a word of it, or
// in the table of the tests that it runs.
func there(root string, test Test) error {
	name, part, within := strings.Cut(test.Name, "/")
	words, err := wordsOf(filepath.Join(root, test.Package), name)
	if err != nil || !within {
		return err
	}
	if test.Package == onBus && name == "TestBus" {
		if words, err = keysOf(filepath.Join(root, suite), table); err != nil {
			return err
		}
	}
	if !words[part] {
		return errNoPart
	}
	return nil
}

// wordsOf are the strings in a function of a package's tests.
func wordsOf(dir, function string) (words map[string]bool, err error) {
	words = map[string]bool{}
	found := false
	err = eachDecl(dir, func(file string, d ast.Decl) {
		fn, is := d.(*ast.FuncDecl)
		if !is || fn.Recv != nil || fn.Name.Name != function || !strings.HasSuffix(file, "_test.go") {
			return
		}
		found = true
		ast.Inspect(d, func(n ast.Node) bool {
			add(words, n)
			return true
		})
	})
	if err == nil && (!found || !strings.HasPrefix(function, "Test")) {
		err = errNoTest
	}
	return words, err
}

// keysOf are the keys of a map that is a package's variable.
func keysOf(dir, variable string) (keys map[string]bool, err error) {
	keys = map[string]bool{}
	err = eachDecl(dir, func(_ string, d ast.Decl) {
		ast.Inspect(d, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is || spec.Names[0].Name != variable || len(spec.Values) != 1 {
				_, function := n.(*ast.FuncDecl)
				return !function // its variables are its own
			}
			if value, is := spec.Values[0].(*ast.CompositeLit); is {
				for _, e := range value.Elts {
					if e, is := e.(*ast.KeyValueExpr); is {
						add(keys, e.Key)
					}
				}
			}
			return false
		})
	})
	return keys, err
}

// add adds what a string of the source says.
func add(words map[string]bool, n ast.Node) {
	if l, is := n.(*ast.BasicLit); is && l.Kind == token.STRING {
		if word, err := strconv.Unquote(l.Value); err == nil {
			words[word] = true
		}
	}
}

// eachDecl calls a function with each declaration in a package's files, and the file's name.
func eachDecl(dir string, do func(file string, d ast.Decl)) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, f.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range parsed.Decls {
			do(f.Name(), d)
		}
	}
	return nil
}
