// Package layout checks how the repository is laid out: what may import what, and
// which lists must agree.
package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/kubescribe"
)

const (
	root = "../../.."
	home = "github.com/kubescribe/kubescribe/"
)

// deps are the packages that a package's program is made of, in its module alone.
func deps(t *testing.T, module, pattern string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", pattern)
	cmd.Dir = filepath.Join(root, module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s in %s: %v\n%s", pattern, module, err, words.String())
	}
	return strings.Fields(string(out))
}

// services are the folders that hold a program of their own.
func services(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "services"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(root, "services", e.Name(), "cmd")); err == nil {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestImports(t *testing.T) {
	type rule struct {
		module, pattern string
		never           []string // prefixes of packages
		why             string
	}
	rules := []rule{
		{"shared", "./...", []string{home + "services", home + "test"}, "shared is what services have in common; it knows none of them"},
		{"shared", "./...", []string{"k8s.io/client-go", "github.com/go-git", "github.com/nats-io/nats-server"}, "what one service needs must not be linked into all"},
	}
	for _, s := range services(t) {
		if s == "kubescribe" {
			continue
		}
		never := []string{home + "test", "github.com/nats-io/nats-server", "github.com/testcontainers"}
		for _, other := range services(t) {
			if other != s {
				never = append(never, home+"services/"+other)
			}
		}
		rules = append(rules, rule{"services/" + s, "./...", never, "services meet only in messages; servers and containers are for kubescribe and test/"})
		if s != "watcher" {
			rules = append(rules, rule{"services/" + s, "./...", []string{"k8s.io/client-go"}, "the watcher is the only client of the Kubernetes API"})
		}
		if s != "git-writer" {
			rules = append(rules, rule{"services/" + s, "./...", []string{"github.com/go-git"}, "the git-writer is the only one that knows Git"})
		}
	}
	rules = append(rules,
		rule{"services/kubescribe", "./...", []string{home + "test", "github.com/testcontainers"}, "the product is built without its tests"},
		rule{"services/kubescribe", "./...", []string{"github.com/getsops"}, "sops brings the SDK of every cloud along; it is for the proof of what is written without it"})
	for _, r := range rules {
		for _, pkg := range deps(t, r.module, r.pattern) {
			for _, bad := range r.never {
				if strings.HasPrefix(pkg, bad) {
					t.Errorf("%s (%s) is built with %s: %s", r.module, r.pattern, pkg, r.why)
				}
			}
		}
	}
}

// TestFoundations: packages that anything may build on build on next to nothing.
func TestFoundations(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		only      []string // beside the standard library and the package itself
	}{
		{"event", "any program must be able to read the contract", nil},
		{"fault", "error classes are everywhere", nil},
		{"secretmark", "what stands in Git is compared by it for ever, whatever libraries do", nil},
		{"subject", "names on the bus are part of the contract", []string{"event"}},
	} {
		allowed := []string{home + "shared/" + tt.name}
		for _, o := range tt.only {
			allowed = append(allowed, home+"shared/"+o)
		}
		for _, pkg := range deps(t, "shared", "./"+tt.name) {
			host, _, _ := strings.Cut(pkg, "/") // the standard library has no dots there
			if strings.Contains(host, ".") && !slices.Contains(allowed, pkg) {
				t.Errorf("shared/%s is built with %s: %s", tt.name, pkg, tt.why)
			}
		}
	}
}

// TestOnlyCommandsTouchTheProcess: flags, environment, arguments, signals and the
// exit belong to main packages; everything else is handed what it needs.
func TestOnlyCommandsTouchTheProcess(t *testing.T) {
	forbidden := map[string][]string{
		"os":        {"Exit", "Args", "Getenv", "LookupEnv", "Environ", "Hostname", "Getpid"},
		"flag":      {"Parse", "CommandLine", "String", "Bool", "Int", "Duration"},
		"os/signal": {"Notify", "NotifyContext"},
	}
	for _, dir := range []string{"shared", "services"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.Contains(path, "/cmd/") || strings.Contains(path, "/gittest/") || strings.Contains(path, "/faultpoint/") { // for tests alone
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			names := map[string]string{}
			for _, i := range f.Imports {
				p := strings.Trim(i.Path.Value, `"`)
				names[filepath.Base(p)] = p
			}
			ast.Inspect(f, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Obj == nil && slices.Contains(forbidden[names[pkg.Name]], sel.Sel.Name) {
					t.Errorf("%s uses %s.%s: only packages under cmd/ may", path, pkg.Name, sel.Sel.Name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLists: a service that is added must be added everywhere.
func TestLists(t *testing.T) {
	all := services(t)
	var roles []string
	for _, s := range all {
		if s != "kubescribe" {
			roles = append(roles, s)
		}
	}
	table := kubescribe.RoleNames()
	slices.Sort(table)
	if !slices.Equal(table, roles) {
		t.Errorf("the role table of kubescribe has %v, services/ has %v", table, roles)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if m := regexp.MustCompile(`(?m)^SERVICES := (.*)$`).FindStringSubmatch(read("Makefile")); m == nil {
		t.Error("the Makefile has no SERVICES")
	} else if made := strings.Fields(m[1]); !slices.Equal(slices.Sorted(slices.Values(made)), roles) {
		t.Errorf("the Makefile builds %v, services/ has %v", made, roles)
	}
	work, compose := read("go.work"), read("docker-compose.yaml")
	for _, s := range all {
		if !strings.Contains(work, "./services/"+s+"\n") {
			t.Errorf("go.work does not use services/%s", s)
		}
	}
	for _, s := range roles {
		if !strings.Contains(compose, "\n  "+s+":\n") {
			t.Errorf("docker-compose.yaml does not run %s", s)
		}
	}
}

// TestCommandsAreShort: a main package wires, and does nothing else.
func TestCommandsAreShort(t *testing.T) {
	for _, s := range services(t) {
		b, err := os.ReadFile(filepath.Join(root, "services", s, "cmd", s, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), "\n"); n >= 40 {
			t.Errorf("services/%s/cmd/%s/main.go has %d lines, 39 is the most", s, s, n)
		}
	}
}
