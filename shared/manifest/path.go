package manifest

import (
	"errors"
	"strings"
)

// Identity is what tells objects of one cluster apart in Git, whatever version
// serves them. Resource and Name are never empty.
type Identity struct {
	Group     string // "" for the core group
	Resource  string // plural, "deployments"
	Namespace string // "" for cluster-scoped objects
	Name      string
}

const (
	// clusterScope stands where a namespace would: no namespace can be called
	// so, because an underscore is not allowed in an RFC 1123 label.
	clusterScope = "_cluster"

	extension       = ".yaml"
	sealed          = ".sops"
	sealedExtension = sealed + extension

	// maxComponent is what ext4, APFS and NTFS all take for a file's name.
	maxComponent = 255
	maxStem      = maxComponent - len(sealedExtension)
)

var (
	// ErrNotCanonical says that no object's file has this path.
	ErrNotCanonical = errors.New("parsing path: not the canonical path of an object")
	// ErrShortened says that a component of the path was too long to be kept
	// whole: which object it is, only the content tells.
	ErrShortened = errors.New("parsing path: shortened, the content has the identity")
)

// Path is the file's path below the base folder:
//
//	<namespace or _cluster>/<group, left out for core>/<resource>/<name>.yaml
//
// The number of components tells the core group from the others. Two
// identities never share a path, not even where the file system ignores case,
// and no path is a folder of another one. Components are escaped as [ParsePath]
// undoes it; one that would be longer than file systems take is cut and ends in
// "~" and a hash, and "~" occurs in no other.
func (id Identity) Path() string { return id.stem() + extension }

// SealedPath is the path of the file when it is written encrypted: Path with
// .sops.yaml for .yaml.
func (id Identity) SealedPath() string { return id.stem() + sealedExtension }

// IsSealedPath reports whether a path is that of a file which is written encrypted.
func IsSealedPath(p string) bool { return strings.HasSuffix(p, sealedExtension) }

// UnsealedPath is where the file of an encrypted one's object would stand in clear.
func UnsealedPath(p string) string { return strings.TrimSuffix(p, sealedExtension) + extension }

func (id Identity) stem() string {
	parts := make([]string, 0, 4)
	parts = append(parts, namespaceFolder(id.Namespace))
	if id.Group != "" {
		parts = append(parts, groupFolder(id.Group))
	}
	return strings.Join(append(parts, resourceFolder(id.Resource), nameStem(id.Name)), "/")
}

func namespaceFolder(namespace string) string {
	switch namespace {
	case "":
		return clusterScope
	case clusterScope:
		return "%5F" + clusterScope[1:]
	}
	return shorten(escape(namespace), namespace, maxComponent)
}

func groupFolder(group string) string {
	return shorten(escape(group), group, maxComponent)
}

// resourceFolder has no dot, so it is never the file of a core-group object.
// Nothing changes by it in practice: a resource is an RFC 1035 label.
func resourceFolder(resource string) string {
	return shorten(strings.ReplaceAll(escape(resource), ".", "%2E"), resource, maxComponent)
}

// nameStem does not end in .sops: "a.sops" in clear is not "a" sealed.
func nameStem(name string) string {
	stem := escape(name)
	if rest, ok := strings.CutSuffix(stem, sealed); ok {
		stem = rest + "%2E" + sealed[1:]
	}
	return shorten(stem, name, maxStem)
}

// ParsePath is the reverse of Path and SealedPath. It takes exactly the paths
// they make and returns ErrNotCanonical for any other. For a path with a
// shortened component it returns ErrShortened and the identity with that
// component empty: whose file it is, must then come from its content, of which
// [Identity.Path] confirms it.
func ParsePath(p string) (Identity, error) {
	stem, ok := strings.CutSuffix(p, extension)
	if !ok {
		return Identity{}, ErrNotCanonical
	}
	parts := strings.Split(strings.TrimSuffix(stem, sealed), "/")
	if len(parts) != 3 && len(parts) != 4 {
		return Identity{}, ErrNotCanonical
	}
	var id Identity
	read := reader{}
	last := len(parts) - 1
	if parts[0] != clusterScope {
		id.Namespace = read.component(parts[0], namespaceFolder, maxComponent)
	}
	if len(parts) == 4 {
		id.Group = read.component(parts[1], groupFolder, maxComponent)
	}
	id.Resource = read.component(parts[last-1], resourceFolder, maxComponent)
	id.Name = read.component(parts[last], nameStem, maxStem)
	switch {
	case read.failed:
		return Identity{}, ErrNotCanonical
	case read.shortened:
		return id, ErrShortened
	}
	return id, nil
}

// reader undoes components and remembers what it met.
type reader struct{ failed, shortened bool }

func (r *reader) component(part string, write func(string) string, limit int) string {
	if isShortened(part, limit) {
		r.shortened = true
		return ""
	}
	value, ok := unescape(part)
	if !ok || value == "" || write(value) != part {
		r.failed = true
	}
	return value
}
