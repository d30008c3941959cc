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
	for _, tt := range []struct {
		name    string
		d       event.Destination
		secrecy Secrecy
		rules   []event.Rule // nil: as they were
		want    event.Withheld
	}{
		{"all is there", event.Destination{Recipients: reader, Rules: []event.Rule{everything}}, Secrecy{Keys: true}, nil, ""},
		{"no recipient", event.Destination{Rules: []event.Rule{maps, everything}}, Secrecy{Keys: true}, nil, event.WithheldNoRecipient},
		{"no recipient, by version", event.Destination{Rules: []event.Rule{byVersion}}, Secrecy{Keys: true}, nil, event.WithheldNoRecipient},
		{"no key", event.Destination{Recipients: reader, Rules: []event.Rule{everything}}, Secrecy{}, nil, event.WithheldNoKeys},
		{"neither", event.Destination{Rules: []event.Rule{everything}}, Secrecy{}, nil, event.WithheldNoRecipient},
		{"a key that came", event.Destination{Recipients: reader, Rules: []event.Rule{everything}, Withheld: event.WithheldNoKeys}, Secrecy{Keys: true}, nil, ""},
		{"nothing sensitive is selected", event.Destination{Rules: []event.Rule{maps}}, Secrecy{Keys: true}, nil, ""},
		{"Secrets are left out", event.Destination{Rules: []event.Rule{but(everything, none)}}, Secrecy{Keys: true}, nil, ""},
		{"another type is sensitive", event.Destination{Sensitive: vaults, Rules: []event.Rule{but(everything, none)}}, Secrecy{Keys: true}, nil, event.WithheldNoRecipient},
		{"never", event.Destination{Recipients: reader, Rules: []event.Rule{everything, but(maps, none)}}, Secrecy{Never: true, Keys: true}, []event.Rule{but(everything, none), but(maps, none)}, ""},
		{"never, without a recipient", event.Destination{Rules: []event.Rule{everything}}, Secrecy{Never: true}, []event.Rule{but(everything, none)}, ""},
	} {
		want := tt.d
		if tt.rules != nil {
			want.Rules = tt.rules
		}
		want.Withheld = tt.want
		if diff := cmp.Diff(want, tt.secrecy.Withhold(tt.d)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}
