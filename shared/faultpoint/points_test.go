package faultpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/faultpoint"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPoints: each point is there once, and the steps that the points are of are those
// that the program names, all of them. Whether a role reaches it is for the crash table
// to find out.
func TestPoints(t *testing.T) {
	listed, names := map[string]bool{}, map[string]bool{}
	for _, p := range faultpoint.Points {
		if name := p.Role + ": " + p.Name(); names[name] {
			t.Errorf("%s is there twice", name)
		} else {
			names[name] = true
		}
		listed[string(p.Step)] = true
	}
	constants, used := constants(t), map[string]bool{}
	for _, dir := range []string{"../../shared", "../../services"} {
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "faultpoint" && constants[s.Sel.Name] != "" {
						used[constants[s.Sel.Name]] = true
					}
				}
				return true
			})
			return nil
		}))
	}
	for name, step := range constants {
		if !listed[step] || !used[step] {
			t.Errorf("%s: in the list of points: %t, in the program: %t", name, listed[step], used[step])
		}
	}
	if len(listed) != len(constants) || len(used) == 0 {
		t.Errorf("the points are of %d steps, and there are %d", len(listed), len(constants))
	}
}

// constants are the steps, by their names.
func constants(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, 0)
	must(t, err)
	found := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if is, ok := v.Type.(*ast.Ident); ok && is.Name == "Step" {
				found[v.Names[0].Name] = strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`)
			}
		}
		return true
	})
	return found
}
