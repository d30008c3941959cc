package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/service"
)

// provisionWait bounds how long provisioning waits for its server.
const provisionWait = time.Minute

func provisionCommand(env Env) *cobra.Command {
	var url, creds string
	var replicas int
	cmd := &cobra.Command{
		Use: "provision", Short: "Make the streams that the services meet on", Args: noArgs,
		Long: `Make kubescribe's streams and buckets on a NATS server, or bring the settings of
those that are there up to date. It may be run again at any time. Services that
run by themselves wait until it was. (kubescribe run does it on its own server.)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("replicas") && replicas != 1 && replicas != 3 {
				return usage("--replicas %d: use 1, or 3 on a cluster of NATS servers", replicas)
			}
			if err := bus.CheckURL(url); err != nil {
				return usage("--nats: %w", err)
			}
			if err := bus.CheckCreds(creds); err != nil {
				return usage("--nats-creds: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), provisionWait)
			defer cancel()
			log := service.NewLogger(env.Stderr, slog.LevelInfo)
			b, err := bus.Connect(ctx, bus.Config{URL: url, Creds: creds, Name: "kubescribe-provision", Log: log})
			if err != nil {
				return unlessStopped(cmd.Context(), err, log)
			}
			defer b.Close()
			if err := b.Provision(ctx, bus.Options{Replicas: replicas}); err != nil {
				return unlessStopped(cmd.Context(), err, log)
			}
			_, err = fmt.Fprintf(env.Stdout, "provisioned install %s on %s\n", b.Install.Incarnation, url)
			return err
		},
	}
	cmd.Flags().StringVar(&url, "nats", "nats://127.0.0.1:4222", "`URL` of the NATS server")
	cmd.Flags().StringVar(&creds, "nats-creds", "", "`file` with NATS user credentials")
	cmd.Flags().IntVar(&replicas, "replicas", 0, "`copies` of each stream, 1 or 3 (default: as many as there are, 1 of a new one)")
	return cmd
}
