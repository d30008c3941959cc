package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/exclusion"
	"github.com/kubescribe/kubescribe/shared/outcome"
)

func explainCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain", Short: "Say what is done without being asked for", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "exclusions", Short: "List what is not mirrored unless a destination asks for it, and why", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return explainExclusions(env.Stdout) },
	})
	cmd.AddCommand(&cobra.Command{
		Use: "outcomes", Short: "List what may become of a change, as metrics and replay name it", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return explainOutcomes(env.Stdout) },
	})
	cmd.AddCommand(&cobra.Command{
		Use: "accounts", Short: "Print what a NATS server has to know of kubescribe's users and their permissions", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(env.Stdout, bus.Accounts())
			return err
		},
	})
	return cmd
}

// explainOutcomes prints the list, one outcome a line.
func explainOutcomes(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, "NAME\tBY\tMEANS\n"); err != nil {
		return err
	}
	for _, o := range outcome.All() {
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", o.Outcome, o.By, o.Meaning); err != nil {
			return err
		}
	}
	return table.Flush()
}

// explainExclusions prints the list, one exclusion a line.
func explainExclusions(out io.Writer) error {
	var lines strings.Builder
	lines.WriteString("NAME\tLEFT OUT\tBECAUSE\tTYPES\n")
	for _, e := range exclusion.All() {
		fmt.Fprintf(&lines, "%s\t%s\t%s\t%s\n", e.Name, e.What, e.Why, strings.Join(e.Types, ", "))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, lines.String()); err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "\nA GitDestination lifts them by name: spec.withoutExclusions. What a rule is to leave out besides stands in its spec.exclude.")
	return err
}
