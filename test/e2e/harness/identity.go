package harness

import (
	"errors"
	"fmt"
	"strings"
)

// Identity tells objects of one cluster apart, whatever version serves them.
type Identity struct {
	Group     string // "" for the core group
	Resource  string // plural
	Namespace string // "" for cluster-scoped objects
	Name      string
}

// String is the identity as commit subjects have it: deployments.apps shop/web.
func (id Identity) String() string {
	s := id.Resource
	if id.Group != "" {
		s += "." + id.Group
	}
	if id.Namespace != "" {
		return s + " " + id.Namespace + "/" + id.Name
	}
	return s + " " + id.Name
}

// identify reads the identity off a path below the base folder:
//
//	<namespace or _cluster>/<group, left out for core>/<resource>/<name>.yaml, or .sops.yaml
//
// with %-escapes undone, and checks it against the content's own words. A
// component that had to be cut ends in "~" and a hash; there the content's word
// is taken if it begins the same.
func identify(path string, content map[string]any) (Identity, error) {
	stem, ok := strings.CutSuffix(path, ".yaml")
	parts := strings.Split(strings.TrimSuffix(stem, ".sops"), "/")
	if !ok || len(parts) < 3 || len(parts) > 4 {
		return Identity{}, errors.New("no object has such a path")
	}
	metadata, _ := content["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	apiVersion, _ := content["apiVersion"].(string)
	group, _, versioned := strings.Cut(apiVersion, "/")
	if !versioned {
		group = ""
	}
	var id Identity
	var errs [4]error
	if parts[0] != "_cluster" {
		id.Namespace, errs[0] = component(parts[0], namespace)
	}
	if len(parts) == 4 {
		id.Group, errs[1] = component(parts[1], group)
	}
	id.Resource, errs[2] = component(parts[len(parts)-2], "")
	id.Name, errs[3] = component(parts[len(parts)-1], name)
	if err := errors.Join(errs[:]...); err != nil {
		return id, err
	}
	if id.Name != name || id.Namespace != namespace || id.Group != group {
		return id, fmt.Errorf("the path says %s, the content %q %q in %q", id, apiVersion, name, namespace)
	}
	return id, nil
}

// component undoes the escapes of one component of a path.
func component(part, content string) (string, error) {
	cut, _, shortened := strings.Cut(part, "~")
	value, err := unescape(cut)
	switch {
	case err != nil:
		return "", err
	case value == "":
		return "", fmt.Errorf("%q is no part of a path", part)
	case shortened && strings.HasPrefix(content, value):
		return content, nil
	case shortened:
		return "", fmt.Errorf("%q does not begin as the content's %q", part, content)
	}
	return value, nil
}

// unescape undoes percent-encoding (RFC 3986, section 2.1).
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		var c byte
		if n, err := fmt.Sscanf(s[i:min(i+3, len(s))], "%%%02X", &c); n != 1 || err != nil {
			return "", fmt.Errorf("%q has a broken escape", s)
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}
