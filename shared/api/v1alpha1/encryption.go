package v1alpha1

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/recipient"
)

// maxRecipients keeps what is encrypted from being mostly keys.
const maxRecipients = 32

// encryption repeats nothing of a recipient: it may be a private key, by mistake.
func (c *checker) encryption(e Encryption) {
	if n := len(e.Recipients); n > maxRecipients {
		c.add("spec.encryption.recipients", "are %d, and %d are taken", n, maxRecipients)
	}
	for i, key := range e.Recipients {
		if err := recipient.Check(key); err != nil {
			c.add(fmt.Sprintf("spec.encryption.recipients[%d]", i), "is wrong: %v", err)
		}
	}
	seen := map[[2]string]bool{}
	for i, t := range e.Types {
		path := fmt.Sprintf("spec.encryption.types[%d]", i)
		if p := apiGroupProblem(t.APIGroup); p != "" {
			c.add(path+".apiGroup", "%s%s", subject(t.APIGroup), p)
		}
		if p := resourceProblem(t.Resource); p != "" {
			c.add(path+".resource", "%s%s", subject(t.Resource), p)
		}
		of := [2]string{t.APIGroup, t.Resource}
		switch {
		case event.IsSecrets(t.APIGroup, t.Resource):
			c.add(path, "is Secrets, which are encrypted anyway; remove it")
		case seen[of]:
			c.add(path, "is a type that stands above, too; write all of its fields there")
		}
		seen[of] = true
		if len(t.Fields) == 0 {
			c.add(path+".fields", `is required; name those that are to be encrypted, such as ["data"]`)
		}
		for j, f := range t.Fields {
			if p := sensitiveFieldProblem(f); p != "" {
				c.add(fmt.Sprintf("%s.fields[%d]", path, j), "%s%s", subject(f), p)
			}
		}
	}
}

var (
	fieldName = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)
	// Without these a resource is not known, by people or by sops.
	readable = []string{"apiVersion", "kind", "metadata", "name", "namespace", "sops"}
)

func sensitiveFieldProblem(name string) string {
	switch {
	case !fieldName.MatchString(name):
		return "is no name of a field; write one such as data, without a path"
	case slices.Contains(readable, name):
		return "has to be readable; leave it out"
	}
	return ""
}
