package harness

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// historyFormat makes git log print what ParseHistory reads: a record separator,
// fields behind unit separators, and after the last one the files.
const historyFormat = "%x1e%H%x1f%P%x1f%ct%x1f%B%x1f"

// Commit is one commit of a branch.
type Commit struct {
	Hash      string
	Parents   []string
	Time      time.Time // of the committer
	Subject   string
	Message   string
	Trailers  map[string]string // of the last paragraph, by their names
	Files     []FileChange
	Origin    string // "live" or "reconcile"; empty for commits of others
	Ledger    string // incarnation/branch: what Position counts in
	Position  uint64 // in KS_WRITE
	Resource  string // as in "v1 configmaps shop/settings"; empty if it is not about one object
	Version   string // resourceVersion
	OfRun     string // the run it belongs to
	Ours      bool   // written by kubescribe
	Placement string // cluster/namespace/name of the destination
}

// FileChange is what a commit did to a file.
type FileChange struct {
	Status string // A, M, D
	Path   string
}

// ParseHistory reads what git log -z --name-status printed in historyFormat.
func ParseHistory(out string) ([]Commit, error) {
	var commits []Commit
	for i, record := range strings.Split(out, "\x1e") {
		if i == 0 {
			if strings.Trim(record, "\x00\n") != "" {
				return nil, fmt.Errorf("reading git log: unexpected %q", record)
			}
			continue
		}
		c, err := parseCommit(record)
		if err != nil {
			return nil, fmt.Errorf("reading git log: commit %d: %w", i, err)
		}
		commits = append(commits, c)
	}
	return commits, nil
}

func parseCommit(record string) (Commit, error) {
	f := strings.SplitN(record, "\x1f", 5)
	if len(f) != 5 {
		return Commit{}, fmt.Errorf("unexpected record %q", record)
	}
	seconds, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return Commit{}, fmt.Errorf("its time is %q", f[2])
	}
	c := Commit{
		Hash: f[0], Parents: strings.Fields(f[1]), Time: time.Unix(seconds, 0).UTC(),
		Message: f[3], Trailers: trailers(f[3]),
	}
	c.Subject, _, _ = strings.Cut(f[3], "\n")
	if c.Files, err = fileChanges(f[4]); err != nil {
		return Commit{}, err
	}
	return c, c.interpret()
}

// fileChanges reads NUL-separated pairs of a status and a path.
func fileChanges(text string) ([]FileChange, error) {
	var changes []FileChange
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == 0 })
	for i := 0; i < len(fields); i++ {
		status := strings.Trim(fields[i], "\n")
		if status == "" {
			continue
		}
		if i++; len(status) != 1 || i == len(fields) {
			return nil, fmt.Errorf("unexpected files %q", text)
		}
		changes = append(changes, FileChange{Status: status, Path: fields[i]})
	}
	return changes, nil
}

// trailers are the lines "Name: value" of a message's last paragraph, none if it
// has another line or is the only one.
func trailers(message string) map[string]string {
	message = strings.TrimRight(message, "\n")
	at := strings.LastIndex(message, "\n\n")
	if at < 0 {
		return nil
	}
	found := map[string]string{}
	for line := range strings.SplitSeq(message[at+2:], "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil
		}
		found[name] = value
	}
	return found
}

// interpret reads kubescribe's trailers.
func (c *Commit) interpret() error {
	position, ours := c.Trailers["Kubescribe-Position"]
	if c.Ours = ours; !ours {
		return nil
	}
	at := strings.LastIndex(position, "/")
	var err error
	if c.Position, err = strconv.ParseUint(position[at+1:], 10, 64); err != nil || strings.Count(position, "/") != 2 {
		return fmt.Errorf("%s has the position %q", c.Hash, position)
	}
	c.Ledger = position[:at]
	c.Origin, c.OfRun, _ = strings.Cut(c.Trailers["Kubescribe-Origin"], " ")
	c.Placement = c.Trailers["Kubescribe-Destination"]
	c.Resource = c.Trailers["Kubescribe-Resource"]
	c.Version = c.Trailers["Kubescribe-Resource-Version"]
	return nil
}
