package event

import "slices"

// Sensitive is a type whose objects are never on the bus or in Git in clear.
type Sensitive struct {
	Group    string `json:"group,omitempty"` // "" for the core group
	Resource string `json:"resource"`
	// Fields are those whose values are encrypted, at any depth and with all below them, sorted.
	// The rest can be read.
	Fields []string `json:"fields"`
}

// secrets are sensitive for everybody.
var secrets = Sensitive{Resource: "secrets", Fields: []string{"data", "stringData"}}

// annotations are encrypted of whatever is sensitive: tools keep copies of an object in its own.
const annotations = "annotations"

// IsSecrets reports whether a type is that of Secrets.
func IsSecrets(group, resource string) bool {
	return group == secrets.Group && resource == secrets.Resource
}

// AllSensitive are the types that are sensitive to a destination.
func (d Destination) AllSensitive() []Sensitive { return append([]Sensitive{secrets}, d.Sensitive...) }

// Encrypts names the fields whose values are encrypted of a type, sorted; ok is false if it is
// not sensitive.
func (d Destination) Encrypts(group, resource string) (fields []string, ok bool) {
	for _, s := range d.AllSensitive() {
		if s.Group == group && s.Resource == resource {
			fields = append(slices.Clone(s.Fields), annotations)
			slices.Sort(fields)
			return slices.Compact(fields), true
		}
	}
	return nil, false
}

// Withheld is why sensitive objects are not written, in one word.
type Withheld string

// The reasons.
const (
	WithheldNoRecipient Withheld = "NoRecipient"     // nobody could read them
	WithheldNoKeys      Withheld = "NoEncryptionKey" // the watcher lacks what it seals or marks them with
)

// Message says it to people, and what to do.
func (w Withheld) Message() string {
	switch w {
	case "":
		return ""
	case WithheldNoRecipient:
		return "Secrets, and what else is sensitive, are not mirrored, because nobody could read them: name recipients in spec.encryption.recipients, or with --recipient (kubescribe keygen reader FILE makes a key and prints one); or leave them out, Secrets with mirrorSecrets: Never"
	case WithheldNoKeys:
		return "Secrets, and what else is sensitive, are not mirrored, because the watcher has no keys for them: give it --credentials-recipient, the git-writer's public key, and --mark-key, a file that kubescribe keygen watcher FILE makes"
	}
	return "Secrets, and what else is sensitive, are not mirrored: " + string(w)
}
