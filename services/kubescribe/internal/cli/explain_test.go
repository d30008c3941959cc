package cli

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/exclusion"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/service"
)

// TestExplainExclusions: each is listed with what it leaves out and why, and how to lift it.
func TestExplainExclusions(t *testing.T) {
	r := command(t, "explain", "exclusions")
	if r.code != service.ExitOK || r.stderr != "" || !strings.Contains(r.stdout, "spec.withoutExclusions") {
		t.Fatalf("%+v", r)
	}
	for _, e := range exclusion.All() {
		found := false
		for line := range strings.Lines(r.stdout) {
			name, rest, _ := strings.Cut(line, " ")
			found = found || name == e.Name && strings.Contains(rest, e.What) && strings.Contains(rest, e.Why)
		}
		if !found {
			t.Errorf("%s is not listed:\n%s", e.Name, r.stdout)
		}
	}
	if r := command(t, "explain", "exclusions", "x"); r.code != service.ExitUsage {
		t.Errorf("with an argument: %+v", r)
	}
}

// TestExplainAccounts: it is what the configuration of a NATS server includes.
func TestExplainAccounts(t *testing.T) {
	if r := command(t, "explain", "accounts"); r.code != service.ExitOK || r.stderr != "" || r.stdout != bus.Accounts() {
		t.Errorf("%+v", r)
	}
}

// TestExplainOutcomes: each is listed with who gives it and what it means.
func TestExplainOutcomes(t *testing.T) {
	r := command(t, "explain", "outcomes")
	if r.code != service.ExitOK || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	for _, o := range outcome.All() {
		found := false
		for line := range strings.Lines(r.stdout) {
			name, rest, _ := strings.Cut(line, " ")
			found = found || name == string(o.Outcome) && strings.Contains(rest, o.By) && strings.Contains(rest, o.Meaning)
		}
		if !found {
			t.Errorf("%s is not listed:\n%s", o.Outcome, r.stdout)
		}
	}
}
