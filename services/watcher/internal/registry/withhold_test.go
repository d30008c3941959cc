package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestWithhold: who has neither a recipient nor keys gets nothing of what is sensitive, and says
// so where rules select some; who mirrors none has no rule that selects any.
func TestWithhold(t *testing.T) {
	everything := event.Rule{Groups: []string{"*"}, Resources: []string{"*"}}
	maps := event.Rule{Groups: []string{""}, Resources: []string{"configmaps"}}
	none := event.Rule{Groups: []string{""}, Resources: []string{"secrets"}}
	but := func(r event.Rule, except ...event.Rule) event.Rule {
		r.Except = append(r.Except, except...)
		return r
	}
	byVersion := everything
	byVersion.Versions = []string{"v1"}
	reader, vaults := []string{"age1a"}, []event.Sensitive{{Group: "example.com", Resource: "vaults", Fields: []string{"token"}}}
	keys := Secrecy{SealedTo: "age1w", MarkedBy: "k"}
	for _, tt := range []struct {
		name    string
		d       event.Destination
		secrecy Secrecy
		rules   []event.Rule // nil: as they were
		want    event.Withheld
		comes   bool // something sensitive, by the keys
	}{
		{"all is there", event.Destination{Recipients: reader, Rules: []event.Rule{everything}}, keys, nil, "", true},
		{"no recipient", event.Destination{Rules: []event.Rule{maps, everything}}, keys, nil, event.WithheldNoRecipient, false},
		{"no recipient, by version", event.Destination{Rules: []event.Rule{byVersion}}, keys, nil, event.WithheldNoRecipient, false},
		{"no key", event.Destination{Recipients: reader, Rules: []event.Rule{everything}}, Secrecy{}, nil, event.WithheldNoKeys, false},
		{"neither", event.Destination{Rules: []event.Rule{everything}}, Secrecy{}, nil, event.WithheldNoRecipient, false},
		{"a key that came", event.Destination{Recipients: reader, Rules: []event.Rule{everything}, Withheld: event.WithheldNoKeys}, keys, nil, "", true},
		{"nothing sensitive is selected", event.Destination{Rules: []event.Rule{maps}}, keys, nil, "", false},
		{"Secrets are left out", event.Destination{Rules: []event.Rule{but(everything, none)}}, keys, nil, "", false},
		{"another type is sensitive", event.Destination{Sensitive: vaults, Rules: []event.Rule{but(everything, none)}}, keys, nil, event.WithheldNoRecipient, false},
		{"never", event.Destination{Recipients: reader, Rules: []event.Rule{everything, but(maps, none)}}, Secrecy{Never: true, SealedTo: "age1w", MarkedBy: "k"}, []event.Rule{but(everything, none), but(maps, none)}, "", false},
		{"never, without a recipient", event.Destination{Rules: []event.Rule{everything}}, Secrecy{Never: true}, []event.Rule{but(everything, none)}, "", false},
	} {
		want := tt.d
		if tt.rules != nil {
			want.Rules = tt.rules
		}
		want.Withheld = tt.want
		if tt.comes {
			want.SealedTo, want.MarkedBy = "age1w", "k"
		}
		if diff := cmp.Diff(want, tt.secrecy.Withhold(tt.d)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}
