package registry

import (
	"reflect"
	"slices"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Secrecy is what the watcher itself says of sensitive objects, whatever documents say.
type Secrecy struct {
	Never bool // Secrets are not mirrored
	// SealedTo is the public key that sensitive objects are sealed to, MarkedBy the id of the
	// key that they are marked with; without both they are withheld.
	SealedTo, MarkedBy string
}

// Withhold has a destination select no Secrets where none are mirrored, and say whether the
// sensitive objects that it does select are withheld, or by which keys they come. types are all that are served, as far as
// is known.
func (s Secrecy) Withhold(d event.Destination) event.Destination {
	if s.Never {
		d.Rules = slices.Clone(d.Rules)
		for i := range d.Rules {
			d.Rules[i] = withoutSecrets(d.Rules[i])
		}
	}
	d.Withheld, d.SealedTo, d.MarkedBy = "", "", ""
	switch {
	case !selectsSensitive(d):
	case len(d.Recipients) == 0:
		d.Withheld = event.WithheldNoRecipient
	case s.SealedTo == "" || s.MarkedBy == "":
		d.Withheld = event.WithheldNoKeys
	default:
		d.SealedTo, d.MarkedBy = s.SealedTo, s.MarkedBy
	}
	return d
}

// selectsSensitive reports whether rules of a destination may select sensitive objects. Of
// Secrets that is certain but for the version; what is served of other types is not known here.
func selectsSensitive(d event.Destination) bool {
	return slices.ContainsFunc(d.Rules, func(r event.Rule) bool {
		r.Versions = nil
		return r.SelectsType("", "v1", "secrets") || slices.ContainsFunc(d.Sensitive, func(t event.Sensitive) bool {
			return r.SelectsType(t.Group, "", t.Resource)
		})
	})
}

// allSecrets selects Secrets and nothing else.
func allSecrets() event.Rule { return event.Rule{Groups: []string{""}, Resources: []string{"secrets"}} }

// withoutSecrets is a rule that selects no Secrets.
func withoutSecrets(r event.Rule) event.Rule {
	none := allSecrets()
	if !slices.ContainsFunc(r.Except, func(e event.Rule) bool { return reflect.DeepEqual(e, none) }) {
		r.Except = append(slices.Clip(r.Except), none)
	}
	return r
}
