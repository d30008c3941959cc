// Package marker is the file that says whose a base folder is.
package marker

import (
	"errors"
	"fmt"
	"path"

	"sigs.k8s.io/yaml"

	"github.com/kubescribe/kubescribe/shared/event"
)

// File is the marker's name in the base folder.
const File = ".kubescribe.yaml"

// Marker says who writes a folder.
type Marker struct {
	APIVersion  string `json:"apiVersion"`
	Kind        string `json:"kind"`
	Cluster     string `json:"cluster"`    // its name, for people
	ClusterUID  string `json:"clusterUID"` // of the namespace kube-system
	Install     string `json:"install"`    // the incarnation of the streams
	Destination string `json:"destination"`
}

// What a marker is recognised by.
const (
	APIVersion = "kubescribe.dev/v1alpha1"
	Kind       = "FolderMarker"
)

const preamble = "# Written by kubescribe. The files in this folder follow a cluster: changes made\n" +
	"# here by hand are not applied to it. See https://github.com/kubescribe/kubescribe\n"

// Of is the marker of a destination's folder.
func Of(d event.Destination, incarnation string) Marker {
	return Marker{APIVersion, Kind, d.Key.Cluster, d.ClusterID, incarnation, d.Key.String()}
}

// Path is where the marker stands in the repository.
func Path(baseFolder string) string { return path.Join(baseFolder, File) }

// Bytes is the file. The same marker gives the same bytes.
func (m Marker) Bytes() []byte {
	b, err := yaml.Marshal(m)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return append([]byte(preamble), b...)
}

func parse(b []byte) (m Marker, ok bool) {
	err := yaml.UnmarshalStrict(b, &m)
	return m, err == nil && m.Kind == Kind
}

// ByInstall says whether a marker, or none, was written by an install.
func ByInstall(b []byte, incarnation string) bool {
	m, ok := parse(b)
	return ok && m.Install == incarnation
}

// Name is a base folder as a person knows it.
func Name(baseFolder string) string {
	if baseFolder == "" {
		return "the root of the repository"
	}
	return "folder " + baseFolder
}

// ErrNotOurs says that a folder must not be written to.
var ErrNotOurs = errors.New("the folder is not ours")

// Folder is what stands in a base folder.
type Folder struct {
	Name      string // as a person wrote it
	Marker    []byte // the marker's content, nil if there is none
	Manifests int    // how many YAML files there are
	Blocked   error  // what stands where the folder or the marker would; nil if nothing does
}

// Admit decides whether a folder may be written to. Its errors wrap ErrNotOurs
// and say what to do.
func Admit(f Folder, want Marker, adopt bool) error {
	name := Name(f.Name)
	if f.Blocked != nil {
		return fmt.Errorf("%w: %s cannot hold the marker: %w: remove it from the repository, or choose another --base-folder (spec.baseFolder)",
			ErrNotOurs, name, f.Blocked)
	}
	if f.Marker == nil {
		if f.Manifests == 0 || adopt {
			return nil
		}
		return fmt.Errorf("%w: %s holds %d YAML files and no %s: take it over with --adopt (spec.adopt: true), or choose another --base-folder (spec.baseFolder)",
			ErrNotOurs, name, f.Manifests, File)
	}
	is, ok := parse(f.Marker)
	if !ok {
		if adopt {
			return nil
		}
		return fmt.Errorf("%w: %s holds a %s that this version cannot read: take the folder over with --adopt (spec.adopt: true), or choose another --base-folder (spec.baseFolder)",
			ErrNotOurs, name, File)
	}
	switch {
	case is.ClusterUID != want.ClusterUID:
		return fmt.Errorf("%w: %s belongs to another cluster, %s (uid %s; this one is %s): choose another --base-folder (spec.baseFolder)",
			ErrNotOurs, name, is.Cluster, is.ClusterUID, want.ClusterUID)
	case is.Install != want.Install && !adopt:
		return fmt.Errorf("%w: %s is written by another kubescribe install of this cluster, or by one whose data directory is gone: make sure that it has stopped, then take the folder over with --adopt (spec.adopt: true)",
			ErrNotOurs, name)
	case is.Destination != want.Destination && !adopt:
		return fmt.Errorf("%w: %s belongs to destination %s, not %s: take it over with --adopt (spec.adopt: true), or choose another --base-folder (spec.baseFolder)",
			ErrNotOurs, name, is.Destination, want.Destination)
	}
	return nil
}
