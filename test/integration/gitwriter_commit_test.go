package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestGitWriterWords: author and messages are what the destination says, from the next
// commit on, and the position is read from them as from any other.
func TestGitWriterWords(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	_, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)

	d.Author = event.Person{Name: "Platform Team", Email: "platform@example.com"}
	d.Wording = event.Wording{
		Subject: "{{if .Action}}[{{.Cluster}}] {{.Action}} {{.Name}}{{else}}{{.Destination}}: {{len .Changes}}{{end}}",
		Body:    "Kept by {{.Cluster}}.\n\nPosition: {{.Name}}",
	}
	s.put(d)
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	stop()
	s.start()
	s.write(d, configMap(event.Delete, "web", "", 3))
	s.wantVersions(3)
	s.results(d, "r1", 2)
	want := []string{
		"kubescribe <kubescribe@localhost>, kubescribe: Create configmaps shop/web",
		"Platform Team <platform@example.com>, kubescribe: [test] Update web",
		"Platform Team <platform@example.com>, kubescribe: [test] Delete web",
		"Platform Team <platform@example.com>, kubescribe: live: 2",
	}
	s.until("the run is in", func() bool { return len(s.subjects()) >= len(want) })
	if got := strings.Split(s.git("log", "--reverse", "--format=%an <%ae>, %cn: %s", "main"), "\n"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("commits %q", got)
	}
	if got := s.git("log", "-1", "--format=%b", "main~1"); !strings.HasPrefix(got, "Kept by test.\n\nPosition: web\n\nKubescribe-Position: ") {
		t.Errorf("body %q", got)
	}
	s.git("fsck", "--strict")
}
