package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	udiff "github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// compareTries is how often a comparison is asked for, where other runs come in
	// between.
	compareTries = 3
	// tidyWait bounds how long is tried to remove what a comparison has left.
	tidyWait = 5 * time.Second
)

const diffLong = `Compare the folder of a destination with its cluster, as a run does, and show what a
run would change. Nothing is written. + is missing in Git, - is in Git and its object
is not in the cluster, and what differs is shown as a diff from Git to the cluster.
The files are read from the remote, with the credentials that kubescribe run takes.

With --exit-code it ends with 1 when there are differences, 0 when there are none,
and 2 when something went wrong. Files that a run would leave alone are no differences.
One at an object's path that holds several resources counts as that object's, and is
shown, until a run or a change has come upon it since the git-writer started.

`

func diffCommand(env Env) *cobra.Command {
	var s session
	var exitCode bool
	var secrets, identity string
	cmd := &cobra.Command{
		Use: "diff DESTINATION", Short: "Show what a run of a destination would change",
		Long: diffLong + reachLong, Args: exactly("DESTINATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			creds := credentials(env, secrets)
			creds.Identity = identity
			if err := creds.Validate(); err != nil {
				return usageError{err}
			}
			differs := false
			err := s.do(cmd.Context(), env, args[0], func(ctx context.Context) (err error) {
				if creds.Identity == "" && s.dataDir != "" {
					creds.Identity = datadir.KeyFile(s.dataDir)
				}
				differs, err = s.diff(ctx, env.Stdout, creds)
				return err
			})
			switch {
			case !exitCode:
				return err
			case err != nil:
				return exitError{service.ExitUsage, err}
			case differs:
				return exitError{code: service.ExitError}
			}
			return nil
		},
	}
	s.flags(cmd)
	gitCredentials(cmd.Flags(), &secrets, env)
	cmd.Flags().StringVar(&identity, "credentials-identity", env.Getenv("KUBESCRIBE_CREDENTIALS_IDENTITY_FILE"), "`file` with the private key that the watcher seals other Secrets to; else $KUBESCRIBE_CREDENTIALS_IDENTITY_FILE, or the data directory's")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 1 when there are differences, and with 2 on errors")
	return cmd
}

// diff compares and prints, and reports whether there are differences.
func (s *session) diff(ctx context.Context, out io.Writer, creds gitwriter.Credentials) (differs bool, err error) {
	dir, err := os.MkdirTemp("", "kubescribe-diff-")
	if err != nil {
		return false, fmt.Errorf("making a directory for contents: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, fmt.Errorf("opening the directory for contents: %w", err)
	}
	defer func() { _ = root.Close() }() // it goes
	for range compareTries {
		c, err := s.compare(ctx, creds, contents{root}, filepath.Join(dir, "cache"))
		if errors.Is(err, bus.ErrSeries) || errors.Is(err, gitwriter.ErrNoBlob) {
			s.awaiter.say("something came in between, comparing again: " + err.Error())
			continue
		}
		if err != nil {
			return false, err
		}
		return len(c.differences) > 0, s.show(out, c, contents{root})
	}
	return false, fmt.Errorf("another run, or a push, came in between %d times: try again when %s is quieter", compareTries, s.destination.Key)
}

// compare asks for a comparison and reads it. bus.ErrSeries if another run has come
// instead, or taken away what it found.
func (s *session) compare(ctx context.Context, creds gitwriter.Credentials, contents contents, cache string) (comparison, error) {
	rec, err := s.awaiter.run(ctx, event.Request{Reason: event.ReasonCompare})
	if err != nil {
		return comparison{}, err
	}
	if rec.Reason != event.ReasonCompare {
		return comparison{}, fmt.Errorf("%w: run %s (%s) came instead", bus.ErrSeries, rec.Run, rec.Reason)
	}
	c, err := s.awaiter.readComparison(ctx, rec, contents)
	s.tidy(ctx, rec.Run)
	if err != nil {
		return comparison{}, err
	}
	return c, s.readGit(ctx, creds, c, cache, contents)
}

// tidy removes what a comparison has left on the bus. Failing, or after a crash before
// it, that goes with the next run of the destination.
func (s *session) tidy(ctx context.Context, run string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyWait)
	defer cancel()
	if err := s.bus.Purge(ctx, subject.Snap, subject.SnapRun(s.destination.Key, run), 0); err != nil {
		s.awaiter.say("what the comparison left on the bus stays until the next run: " + err.Error())
	}
}

// show prints a comparison for a person.
func (s *session) show(w io.Writer, c comparison, contents contents) error {
	for _, d := range c.differences {
		git, inGit := contents.get(d.git)
		cluster, inCluster := contents.get(d.Hash)
		if _, err := io.WriteString(w, shownDifference(d, git, cluster, inGit && inCluster)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, summary(s.destination, c.outcome))
	return err
}

// shownDifference is one difference for a person; known says that both contents are.
func shownDifference(d difference, git, cluster []byte, known bool) string {
	path := safe(d.Path)
	switch {
	case d.What == event.ResultCreate:
		return "+ " + path + "\n"
	case d.What == event.ResultDelete:
		return "- " + path + "\n"
	case sensitive(d.Path), known && !(utf8.Valid(git) && utf8.Valid(cluster)):
		return "~ " + path + ": content differs\n"
	case !known && d.left:
		return "~ " + path + ": content differs; too much does to show all of it at once\n"
	case !known:
		return "~ " + path + ": content differs, and has changed again since\n"
	}
	return udiff.Unified("git/"+path, "cluster/"+path, string(git), string(cluster))
}

// summary is what a comparison found in all.
func summary(d event.Destination, o event.Outcome) string {
	var b strings.Builder
	orphans := o.Deleted
	if o.Pending != nil {
		orphans = o.Pending.Count
	}
	folder := d.BaseFolder
	if folder == "" {
		folder = "."
	}
	fmt.Fprintf(&b, "%s, folder %s on %s: %d missing in Git, %d orphaned, %d different, %d equal\n",
		d.Key, folder, d.Branch, o.Created, orphans, o.Updated, o.Equal)
	if o.Kept > 0 {
		fmt.Fprintf(&b, "  a run would keep %s of no object (prune.mode keeps them, or their type is not known wholly)\n", count(o.Kept, "file"))
	}
	if o.Pending != nil {
		fmt.Fprintf(&b, "  a run would withhold the deletion of what is orphaned, more than prune allows, until somebody approves it\n")
	}
	apart(&b, o)
	return b.String()
}
