// Package attributes tells what the .gitattributes files of a branch make of its
// paths, as gitattributes(5) has it and canonical Git does it: to know, before
// anything is written, whether Git LFS would expect a pointer where a manifest
// is to stand.
//
// It looks at one attribute, filter, and at the macros that set it. Everything
// here is pure; whoever calls reads the files.
package attributes

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Name is what such a file is called, in whatever folder.
const Name = ".gitattributes"

// filter is the attribute that names the program which a file goes through on
// its way into a repository and out of it; lfs is the name of Git LFS's.
const (
	filter = "filter"
	lfs    = "lfs"
)

// Rules are the lines of some files that have a say in an attribute, in the
// order of their priority.
type Rules struct {
	lines  []line
	macros map[string][]assignment
}

// Where is a line of a file.
type Where struct {
	File string // its path
	Line int
	Text string
}

// Parse reads files, by their folders; "" is the root of the repository. What
// Git ignores, with or without a warning, is no rule.
func Parse(files map[string][]byte) Rules {
	r := Rules{macros: map[string][]assignment{}}
	folders := slices.Collect(maps.Keys(files))
	// Deeper ones count for more. Of the files that apply to one path no two are
	// equally deep.
	slices.SortFunc(folders, func(a, b string) int { return depth(a) - depth(b) })
	for _, folder := range folders {
		content := strings.TrimPrefix(string(files[folder]), "\ufeff")
		number := 0
		for text := range strings.SplitSeq(content, "\n") {
			number++
			l, ok := parseLine(text)
			switch {
			case !ok, l.macro && folder != "": // macros stand in the root's file only
				continue
			case l.macro:
				r.macros[l.name] = l.sets
				continue
			}
			l.folder, l.where = folder, Where{path.Join(folder, Name), number, strings.TrimSpace(text)}
			r.lines = append(r.lines, l)
		}
	}
	matter := r.matter()
	r.lines = slices.DeleteFunc(r.lines, func(l line) bool { return !l.setsAny(matter) })
	for i := range r.lines {
		r.lines[i].pattern = compile(r.lines[i].name)
	}
	return r
}

// matter is the attribute with the macros that, by way of others or not, say
// something of it.
func (r Rules) matter() map[string]bool {
	matter := map[string]bool{filter: true}
	for grown := true; grown; {
		grown = false
		for name, sets := range r.macros {
			if !matter[name] && (line{sets: sets}).setsAny(matter) {
				matter[name], grown = true, true
			}
		}
	}
	return matter
}

// None is whether no path can go through anything.
func (r Rules) None() bool { return len(r.lines) == 0 }

// LFS is whether a path goes through Git LFS, and which line makes it so.
func (r Rules) LFS(p string) (by Where, through bool) {
	by, value := r.filterOf(p)
	return by, value.state == valued && value.value == lfs
}

// filterOf is the attribute of a path, and the line that it has it from.
func (r Rules) filterOf(p string) (by Where, value assignment) {
	known := map[string]assignment{}
	for _, l := range slices.Backward(r.lines) {
		if !l.matches(p) {
			continue
		}
		r.fill(known, l.sets)
		if value, is := known[filter]; is {
			return l.where, value
		}
	}
	return Where{}, assignment{}
}

// fill takes over what is not known yet: the last one first, and what a macro
// stands for right behind it.
func (r Rules) fill(known map[string]assignment, sets []assignment) {
	for _, a := range slices.Backward(sets) {
		if _, is := known[a.name]; is {
			continue
		}
		known[a.name] = a
		if a.state == set {
			r.fill(known, r.macros[a.name])
		}
	}
}

// depth is how many folders deep a folder is.
func depth(folder string) int {
	if folder == "" {
		return 0
	}
	return 1 + strings.Count(folder, "/")
}

// Above lists the folders that a path lies in, from the root down: where the files
// stand that apply to it.
func Above(p string) []string {
	folders := []string{""}
	for end, c := range p {
		if c == '/' {
			folders = append(folders, p[:end])
		}
	}
	return folders
}

// Exempt is the line that, at the end of a file, takes a folder and all below it out of
// what Git LFS's own line says; the file stands in that folder, above it or in it.
func Exempt(folder, file string) string {
	p := "*"
	if above := strings.TrimSuffix(file, Name); above == "" || strings.HasPrefix(folder+"/", above) {
		if rest := strings.TrimPrefix(folder+"/", above); rest != "/" && rest != "" {
			p = "/" + strings.ReplaceAll(rest, "[", `\[`) + "**"
		}
	}
	if strings.Contains(p, " ") {
		p = `"` + strings.ReplaceAll(p, `\`, `\\`) + `"`
	}
	return p + " !filter !diff !merge !text"
}
