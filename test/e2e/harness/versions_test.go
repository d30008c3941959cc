package harness_test

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

func TestVersions(t *testing.T) {
	commit := func(position uint64, resource, version string) harness.Commit {
		return harness.Commit{
			Hash: "0123456789", Ours: true, Position: position, Resource: resource, Version: version,
			Files: []harness.FileChange{{Status: "M", Path: "x"}},
		}
	}
	run := func(position uint64, resource, version string) harness.Commit {
		c := commit(position, resource, version)
		c.Origin = "reconcile"
		return c
	}
	writes := []harness.Written{
		{Resource: "v1 configmaps a/x", Version: "9"}, {Resource: "v1 configmaps a/x", Version: "10"}, {Resource: "v1 configmaps a/x", Deleted: true},
	}
	for name, test := range map[string]struct {
		history []harness.Commit
		want    []string // a part of each problem
	}{
		"as it should be": {
			history: []harness.Commit{{Hash: "by somebody"}, commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps b/x", "8"), commit(5, "v1 configmaps a/x", "10")},
		},
		"missing": {
			history: []harness.Commit{commit(1, "v1 configmaps a/x", "9")},
			want:    []string{"at 10: has no commit"},
		},
		"twice": {
			history: []harness.Commit{commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"), commit(3, "v1 configmaps a/x", "10")},
			want:    []string{"at 10: committed by"},
		},
		"brought back by a run": {
			history: []harness.Commit{
				commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"),
				{Files: []harness.FileChange{{Status: "M", Path: "x"}}},
				run(3, "v1 configmaps a/x", "10"),
			},
		},
		"written again by a run": {
			history: []harness.Commit{
				commit(1, "v1 configmaps a/x", "9"),
				{Files: []harness.FileChange{{Status: "M", Path: "x"}}},
				commit(2, "v1 configmaps a/x", "10"),
				run(3, "v1 configmaps a/x", "10"),
			},
			want: []string{"at 10: committed by"},
		},
		"served otherwise since its definition changed": {
			history: []harness.Commit{
				commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"), commit(3, "v1 things.example.com a/x", "10"),
				commit(4, "v1 customresourcedefinitions.apiextensions.k8s.io things.example.com", "11"),
				run(5, "v1 things.example.com a/x", "10"),
			},
		},
		"published again since its definition changed": {
			history: []harness.Commit{
				commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"), commit(3, "v1 things.example.com a/x", "10"),
				commit(4, "v1 customresourcedefinitions.apiextensions.k8s.io things.example.com", "11"),
				commit(5, "v1 things.example.com a/x", "10"),
			},
			want: []string{"at 10: committed by"},
		},
		"another definition changed": {
			history: []harness.Commit{
				commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"), commit(3, "v1 things.example.com a/x", "10"),
				commit(4, "v1 customresourcedefinitions.apiextensions.k8s.io others.example.com", "11"),
				run(5, "v1 things.example.com a/x", "10"),
			},
			want: []string{"at 10: committed by"},
		},
		"out of order": {
			history: []harness.Commit{commit(1, "v1 configmaps a/x", "10"), commit(2, "v1 configmaps a/x", "9")},
			want:    []string{"at 9: committed after version 10"},
		},
		"a position again": {
			history: []harness.Commit{commit(2, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10")},
			want:    []string{"position 2 is not above 2"},
		},
		"another destination, another install": {
			history: []harness.Commit{
				commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"),
				{Ours: true, Ledger: "other/key", Placement: "other", Position: 1, Resource: "v1 configmaps a/x", Version: "9", Files: []harness.FileChange{{}}},
			},
		},
		"nothing in it": {
			history: []harness.Commit{commit(1, "v1 configmaps a/x", "9"), commit(2, "v1 configmaps a/x", "10"), {Ours: true, Position: 3}},
			want:    []string{"changes nothing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := harness.Versions(test.history, writes)
			if len(got) != len(test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) {
					t.Errorf("%q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}

func TestDeletions(t *testing.T) {
	const resource = "v1 configmaps a/x"
	commit := func(status, version string) harness.Commit {
		return harness.Commit{Ours: true, Origin: "live", Resource: resource, Version: version, Files: []harness.FileChange{
			{Status: "A", Path: "live/.kubescribe.yaml"}, {Status: status, Path: "live/a/configmaps/x.yaml"},
		}}
	}
	run := func(status string) harness.Commit {
		c := commit(status, "")
		c.Origin = "reconcile"
		return c
	}
	theirs := func(status string) harness.Commit { return harness.Commit{Files: commit(status, "").Files} }
	made := func(version string) harness.Written {
		return harness.Written{Resource: resource, Version: version}
	}
	deleted := harness.Written{Resource: resource, Deleted: true}
	for name, test := range map[string]struct {
		writes  []harness.Written
		history []harness.Commit
		want    string // a part of the only problem
	}{
		"each once": {
			writes:  []harness.Written{made("1"), deleted, made("3"), deleted},
			history: []harness.Commit{commit("A", "1"), commit("D", "2"), commit("A", "3"), commit("D", "4")},
		},
		"twice": {
			writes:  []harness.Written{made("1"), deleted, made("3")},
			history: []harness.Commit{commit("A", "1"), commit("D", "2"), commit("A", "3"), commit("D", "2"), run("A")},
			want:    "once more than the cluster did",
		},
		"not at all": {
			writes:  []harness.Written{made("1"), deleted, made("3")},
			history: []harness.Commit{commit("A", "1"), commit("M", "3")},
			want:    "the object was deleted before, its file was not",
		},
		"of what was never deleted": {
			writes:  []harness.Written{made("1")},
			history: []harness.Commit{commit("A", "1"), run("D"), run("A")},
			want:    "once more than the cluster did",
		},
		"by somebody else, before": {
			writes:  []harness.Written{made("1"), deleted, made("3")},
			history: []harness.Commit{commit("A", "1"), theirs("D"), commit("A", "3")},
		},
		"an orphan": {
			writes:  []harness.Written{made("3"), deleted},
			history: []harness.Commit{theirs("A"), run("D"), commit("A", "3"), commit("D", "4")},
		},
		"an orphan, twice": {
			writes:  []harness.Written{made("3")},
			history: []harness.Commit{theirs("A"), run("D"), commit("A", "3"), run("D"), run("A")},
			want:    "once more than the cluster did",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := harness.Deletions(test.history, test.writes)
			if len(got) > 1 || (len(got) == 1) != (test.want != "") || !strings.Contains(strings.Join(got, ""), test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
