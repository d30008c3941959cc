package gittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// env is the environment of every git process started here: the caller's,
// without what would let the machine's or the caller's Git settings in.
func env(more ...string) []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "HOME=") &&
			!strings.HasPrefix(kv, "XDG_CONFIG_HOME=") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG=") {
			out = append(out, kv)
		}
	}
	out = append(out,
		"LC_ALL=C",
		"HOME=/nonexistent",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Somebody Else", "GIT_AUTHOR_EMAIL=else@example.com",
		"GIT_COMMITTER_NAME=Somebody Else", "GIT_COMMITTER_EMAIL=else@example.com",
		// Repositories may belong to another user, as in a container.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	)
	return append(out, more...)
}

// Git runs stock git in dir and returns what it printed, without the last
// newline. The error holds what it printed as an error.
func Git(dir string, args ...string) (string, error) {
	return GitInput(dir, "", args...)
}

// GitInput is Git with something to read on standard input.
func GitInput(dir, input string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = env()
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("running git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// Commit is one commit as git log tells it.
type Commit struct {
	Hash      string
	Parents   []string
	Author    string // name <email>
	Committer string // name <email>
	When      time.Time
	Message   string
}

// Subject is the first line of the message.
func (c Commit) Subject() string {
	first, _, _ := strings.Cut(c.Message, "\n")
	return first
}

// Log lists what git log prints for args, newest first: a revision, a range,
// --first-parent, a path.
func Log(dir string, args ...string) ([]Commit, error) {
	const format = "--format=%H%x1f%P%x1f%an <%ae>%x1f%cn <%ce>%x1f%ct%x1f%B"
	out, err := Git(dir, append([]string{"log", "-z", format}, args...)...)
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if record == "" {
			continue
		}
		f := strings.SplitN(record, "\x1f", 6)
		if len(f) != 6 {
			return nil, fmt.Errorf("reading git log: unexpected record %q", record)
		}
		seconds, err := strconv.ParseInt(f[4], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading git log: %w", err)
		}
		commits = append(commits, Commit{
			Hash: f[0], Parents: strings.Fields(f[1]), Author: f[2], Committer: f[3],
			When: time.Unix(seconds, 0).UTC(), Message: f[5],
		})
	}
	return commits, nil
}

// Fsck is git fsck --strict: nil when nothing at all is to be said about the
// repository.
func Fsck(dir string) error {
	out, err := Git(dir, "fsck", "--strict", "--no-dangling", "--no-progress")
	if err != nil {
		return fmt.Errorf("%w %s", err, out)
	}
	return nil
}
