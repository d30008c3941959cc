// Package file tells what a file of a repository holds.
package file

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"go.yaml.in/yaml/v2"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/sops"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// Contents is what a file holds.
type Contents struct {
	Resources int        // Kubernetes resources, of all its documents
	Marker    bool       // it is one of a base folder
	Encrypted *Encrypted // of one that we encrypted; nil: it is none
}

// Encrypted is what a file tells that we encrypted.
type Encrypted struct {
	Hash plumbing.Hash // the content hash
	// Of one that nobody has changed: what begins the id of the key that its content was marked
	// with, and that mark.
	Key, Mark [8]byte
}

// Parse tells what a file holds, encrypted or not.
func Parse(b []byte) Contents {
	s, err := sops.Read(b)
	switch {
	case err != nil:
		return parse(b)
	case s.Changed: // by anybody, into anything
		c := parse(b)
		c.Encrypted = &Encrypted{Hash: plumbing.NewHash(s.Hash())}
		return c
	}
	e := &Encrypted{Hash: plumbing.NewHash(s.Hash())}
	id, _ := secretmark.KeyID(s.Mark) // it has one, or it would not have been read
	_, _ = hex.Decode(e.Key[:], []byte(id))
	digest := s.Mark[strings.LastIndexByte(s.Mark, ':')+1:]
	_, _ = hex.Decode(e.Mark[:], []byte(digest[:2*len(e.Mark)]))
	return Contents{Resources: 1, Encrypted: e}
}

// document is what tells a resource: every one has both (the API conventions,
// "Types"). A list holds its items.
type document struct {
	APIVersion string     `yaml:"apiVersion"`
	Kind       string     `yaml:"kind"`
	Items      []struct{} `yaml:"items"` // their number alone
}

// kustomize is the API group of files that no cluster is given.
const kustomize = "kustomize.config.k8s.io/"

// parse reads YAML or JSON, as far as it is some: a template's first line that is
// none ends it.
func parse(b []byte) (c Contents) {
	in := yaml.NewDecoder(bytes.NewReader(b))
	for {
		var d document
		err := in.Decode(&d)
		if wrong := (*yaml.TypeError)(nil); err != nil && !errors.As(err, &wrong) {
			return c // the end, or no YAML
		}
		switch {
		case d.APIVersion == "" || d.Kind == "" || strings.HasPrefix(d.APIVersion, kustomize):
		case d.Kind == marker.Kind && d.APIVersion == marker.APIVersion:
			c.Marker = true
		case d.Kind == "List" && d.APIVersion == "v1":
			c.Resources += len(d.Items)
		default:
			c.Resources++
		}
	}
}
