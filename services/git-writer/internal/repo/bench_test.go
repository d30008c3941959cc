package repo

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// layouts say where the i-th of many files stands.
var layouts = map[string]func(i int) string{
	// namespaces of ten types with ten objects each, as in a cluster
	"cluster": func(i int) string {
		return fmt.Sprintf("cluster/namespace-%d/resource-%d/object-%d.yaml", i/100, i/10%10, i%10)
	},
	// everything in one directory
	"flat": func(i int) string { return fmt.Sprintf("cluster/shop/configmaps/object-%d.yaml", i) },
}

// manifest is a file as big as a small manifest.
func manifest(i, version int) []byte {
	b := fmt.Appendf(nil, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: object-%d\ndata:\n  version: \"%d\"\n", i, version)
	for n := range 20 {
		b = fmt.Appendf(b, "  key-%d: value-%d\n", n, (i+n)*7919%10007)
	}
	return b
}

// filled serves a repository of n files and returns its URL.
func filled(b testing.TB, layout string, n int) string {
	b.Helper()
	server, err := gittest.Serve(gittest.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	dir, err := server.Init("bench.git", "main")
	if err != nil {
		b.Fatal(err)
	}
	if err := gittest.AllowFilter(dir, true); err != nil {
		b.Fatal(err)
	}
	if err := gittest.Configure(dir, "gc.auto", "0"); err != nil {
		b.Fatal(err)
	}
	w := New(Config{URL: server.URL("bench.git"), Branch: "main", Dir: b.TempDir()})
	defer w.Close()
	if _, err := w.Fetch(b.Context()); err != nil {
		b.Fatal(err)
	}
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = Op{Path: layouts[layout](i), Content: manifest(i, 0)}
	}
	if _, err := w.Commit(newCommit(1, ops...)); err != nil {
		b.Fatal(err)
	}
	if _, err := w.Push(b.Context()); err != nil {
		b.Fatal(err)
	}
	return server.URL("bench.git")
}

func opened(b testing.TB, url string) *Branch {
	b.Helper()
	w := New(Config{URL: url, Branch: "main", Dir: b.TempDir()})
	b.Cleanup(w.Close)
	if _, err := w.Fetch(b.Context()); err != nil {
		b.Fatal(err)
	}
	return w
}

// change commits a new version of one of n files.
func change(b *testing.B, w *Branch, layout string, n, version int) {
	b.Helper()
	i := version * 7919 % n
	changed, err := w.Commit(newCommit(uint64(version), Op{Path: layouts[layout](i), Content: manifest(i, version)}))
	if err != nil || !changed {
		b.Fatal(changed, err)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, layout := range []string{"cluster", "flat"} {
		for _, n := range []int{1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", layout, n), func(b *testing.B) {
				w := opened(b, filled(b, layout, n))
				version := 0
				b.ReportAllocs()
				for b.Loop() {
					version++
					change(b, w, layout, n, version)
					if version%1000 == 0 {
						b.StopTimer()
						if _, err := w.Push(b.Context()); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
				}
				commits, bytes := w.Pending()
				b.ReportMetric(float64(bytes)/float64(max(commits, 1)), "pending-B/commit")
			})
		}
	}
}

// BenchmarkPush is one commit over HTTP at a time; the server is canonical git.
func BenchmarkPush(b *testing.B) {
	for _, layout := range []string{"cluster", "flat"} {
		for _, n := range []int{1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", layout, n), func(b *testing.B) {
				w := opened(b, filled(b, layout, n))
				version := 0
				for b.Loop() {
					version++
					change(b, w, layout, n, version)
					if _, err := w.Push(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkGroup is a hundred commits in one push, per commit.
func BenchmarkGroup(b *testing.B) {
	const n, group = 10_000, 100
	w := opened(b, filled(b, "cluster", n))
	version := 0
	for b.Loop() {
		begin := time.Now()
		for range group {
			version++
			change(b, w, "cluster", n, version)
		}
		if _, err := w.Push(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin).Microseconds())/group, "µs/commit")
	}
}

func BenchmarkFetch(b *testing.B) {
	const n = 100_000
	url := filled(b, "cluster", n)
	for _, state := range []string{"cold", "cached"} {
		b.Run(state, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "cache")
			for b.Loop() {
				if state == "cold" {
					if err := os.RemoveAll(dir); err != nil {
						b.Fatal(err)
					}
				}
				w := New(Config{URL: url, Branch: "main", Dir: dir})
				if _, err := w.Fetch(b.Context()); err != nil {
					b.Fatal(err)
				}
				w.Close()
			}
		})
	}
	b.Run("list", func(b *testing.B) {
		w := opened(b, url)
		for b.Loop() {
			files := 0
			for _, err := range w.List(b.Context(), "cluster") {
				if err != nil {
					b.Fatal(err)
				}
				files++
			}
			if files != n {
				b.Fatal(files)
			}
		}
	})
}
