package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// standardLFS is what git lfs track makes of a pattern.
const standardLFS = " filter=lfs diff=lfs merge=lfs -text\n"

// appendFile adds to the end of a file, by a commit of somebody else's.
func (s *stand) appendFile(name, content string) {
	s.Helper()
	s.foreign("Append to "+name, func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(content)
		return errors.Join(err, f.Close())
	})
}

// TestGitWriterLFS: a destination whose files an attribute sends through Git LFS is
// refused, with the line that does it. Nothing of it is written. It goes on by itself
// once the line that it proposes is there.
func TestGitWriterLFS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, content, says string }{
		"at the root":               {".gitattributes", "*.png" + standardLFS + "*.yaml" + standardLFS + "/beside/** !filter\n", "line 2 of .gitattributes (*.yaml filter=lfs diff=lfs merge=lfs -text)"},
		"in the folder":             {"live/.gitattributes", "*.yaml" + standardLFS, "line 1 of live/.gitattributes"},
		"below the folder":          {"live/shop/.gitattributes", "# large\n*.yaml" + standardLFS, "line 2 of live/shop/.gitattributes"},
		"by a macro":                {".gitattributes", "[attr]large filter=lfs -text\n\n/live/** large\n", "line 3 of .gitattributes (/live/** large)"},
		"one type only":             {".gitattributes", "/live/*/configmaps/*" + standardLFS, "line 1 of .gitattributes"},
		"one file, and not another": {".gitattributes", "/live/shop/configmaps/w*.yaml" + standardLFS + "/live/shop/configmaps/api.yaml -filter\n", "line 1 of .gitattributes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.commitFile(c.file, c.content)
			d, beside := s.register("live", "live", false), s.register("beside", "beside", false)
			w, _ := s.start()
			s.write(d, configMap(event.Create, "web", "a", 9))
			st := s.refused(d.Key, event.StalledFilesInLFS)
			for _, says := range []string{"folder live goes through Git LFS", c.says, "for files like live/", "add the line", "choose another --base-folder"} {
				if !strings.Contains(st.Message, says) {
					t.Errorf("%q is not in: %s", says, st.Message)
				}
			}
			s.saysNotReady(w.Ready, "destination test/default/live: ", c.says)
			s.write(beside, configMap(event.Create, "web", "a", 1))
			s.wantVersions(1)
			if got := s.end(s.ask(d, "r1", 1)); !strings.HasPrefix(got.Failed, event.StalledFilesInLFS+": ") || got.Count != 0 {
				t.Errorf("a run is told %+v", got)
			}

			_, after, _ := strings.Cut(st.Message, "add the line ")
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				t.Fatal(err)
			}
			line, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			s.appendFile(c.file, line+"\n")
			s.write(beside, configMap(event.Update, "web", "b", 2)) // whose push meets that commit
			s.until("it is not refused any more", func() bool { return s.stalled(d.Key) == nil && w.Ready() == nil })
			s.write(d, configMap(event.Update, "web", "b", 3))
			s.wantVersions(3)
		})
	}
}

// TestGitWriterLFSOfOthers: what goes through Git LFS beside a destination's files is no
// reason to refuse it.
func TestGitWriterLFSOfOthers(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile(".gitattributes", "*.png"+standardLFS+"*.yaml"+standardLFS+"/live/** !filter\n/live/shop/secrets/** filter=lfs\n")
	s.commitFile("docs/.gitattributes", "*"+standardLFS)
	s.commitFile("live/images/.gitattributes", "*.jpg"+standardLFS)
	d := s.register("live", "live", false)
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.commitFile("live/theirs/.gitattributes", "*"+standardLFS) // within the folder of another install
	s.commitFile("live/theirs/.kubescribe.yaml", "apiVersion: kubescribe.dev/v1alpha1\nkind: FolderMarker\n")
	s.commitFile("live/theirs/shop/configmaps/web.yaml", "kind: ConfigMap\n")
	s.wantTold(s.ask(d, "r1", 1), 4, "RESOURCE shop/configmaps/web.yaml")
}

// TestGitWriterLFSLater: such a line that comes while a destination is written to is seen
// before a run is told what the folder holds, and before the second write.
func TestGitWriterLFSLater(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]bool{"a run": true, "a write": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			d := s.register("live", "live", false)
			s.start()
			s.write(d, configMap(event.Create, "web", "a", 1))
			s.wantVersions(1)
			s.commitFile("live/shop/.gitattributes", "*.yaml"+standardLFS)
			if run {
				if got := s.end(s.ask(d, "r1", 1)); !strings.HasPrefix(got.Failed, event.StalledFilesInLFS+": ") {
					t.Errorf("a run is told %+v", got)
				}
			} else {
				s.write(d, configMap(event.Update, "web", "b", 2)) // is built before that is known
				s.wantVersions(2)
				s.write(d, configMap(event.Update, "web", "c", 9))
			}
			if st := s.refused(d.Key, event.StalledFilesInLFS); !strings.Contains(st.Message, "line 1 of live/shop/.gitattributes") {
				t.Errorf("it is refused for %q", st.Message)
			}
			for _, v := range s.versions() {
				if v == "9" {
					t.Errorf("written all the same: %q", s.subjects())
				}
			}
		})
	}
}
