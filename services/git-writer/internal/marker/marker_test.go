package marker

import (
	"errors"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

func destination(name, uid string) event.Destination {
	return event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "default", Name: name}, ClusterID: uid}
}

func TestAdmit(t *testing.T) {
	ours := Of(destination("live", "u1"), "inc")
	for name, c := range map[string]struct {
		folder Folder
		adopt  bool
		says   string // "" for admitted
	}{
		"empty":                           {folder: Folder{Name: "live"}},
		"ours":                            {folder: Folder{Name: "live", Marker: ours.Bytes(), Manifests: 9}},
		"files, no marker":                {folder: Folder{Name: "live", Manifests: 12}, says: "folder live holds 12 YAML files and no .kubescribe.yaml: take it over with --adopt"},
		"files in the root":               {folder: Folder{Manifests: 1}, says: "the root of the repository holds 1 YAML files"},
		"files, adopted":                  {folder: Folder{Name: "live", Manifests: 12}, adopt: true},
		"another cluster's":               {folder: Folder{Name: "live", Marker: Of(destination("live", "u2"), "inc").Bytes()}, says: "belongs to another cluster, prod (uid u2; this one is u1)"},
		"another cluster's, even adopted": {folder: Folder{Name: "live", Marker: Of(destination("live", "u2"), "inc").Bytes()}, adopt: true, says: "another cluster"},
		"another install's":               {folder: Folder{Name: "live", Marker: Of(destination("live", "u1"), "old").Bytes()}, says: "another kubescribe install of this cluster"},
		"another install's, adopted":      {folder: Folder{Name: "live", Marker: Of(destination("live", "u1"), "old").Bytes()}, adopt: true},
		"another destination's":           {folder: Folder{Name: "live", Marker: Of(destination("other", "u1"), "inc").Bytes()}, says: "belongs to destination prod/default/other"},
		"unreadable":                      {folder: Folder{Name: "live", Marker: []byte("kind: [")}, says: "cannot read"},
		"unreadable, adopted":             {folder: Folder{Name: "live", Marker: []byte("a: b")}, adopt: true},
		"something in the way": {
			folder: Folder{Name: "live", Blocked: errors.New("a symbolic link stands at live")}, adopt: true,
			says: "folder live cannot hold the marker: a symbolic link stands at live: remove it from the repository, or choose another --base-folder",
		},
	} {
		err := Admit(c.folder, ours, c.adopt)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case c.says != "" && (!errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestByInstall(t *testing.T) {
	ours := Of(destination("live", "u1"), "inc").Bytes()
	for name, c := range map[string]struct {
		file []byte
		want bool
	}{
		"ours": {ours, true}, "ours, edited": {append(ours, "# seen\n"...), true}, "another's": {Of(destination("live", "u1"), "old").Bytes(), false},
		"none": {nil, false}, "another file": {[]byte("install: inc\n"), false},
	} {
		if got := ByInstall(c.file, "inc"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBytesAreStable(t *testing.T) {
	if a, b := Of(destination("live", "u1"), "inc").Bytes(), Of(destination("live", "u1"), "inc").Bytes(); string(a) != string(b) {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestPath(t *testing.T) {
	for folder, want := range map[string]string{"": ".kubescribe.yaml", "live": "live/.kubescribe.yaml"} {
		if got := Path(folder); got != want {
			t.Errorf("%q: %s", folder, got)
		}
	}
}
