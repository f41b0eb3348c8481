package app

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/git/container"
	"slipway.dev/slipway/internal/git/contents"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
)

// NewCmdGit returns the `git` command, which holds what is done with the environment's git server.
func NewCmdGit(d *Deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "git",
		Short: "Clone from the git server, and see what was committed",
		Long: `Work with the environment's git server, to which supply chains commit what they
deliver. It has no users and no passwords, and is reachable from this machine and from
the cluster only. A push creates the repository that it names. A branch only ever moves
forward there.`,
		Example: `  slipway git log slipway/config
  slipway git clone slipway/config
  git remote add origin $(slipway git url apps/hello)`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(NewCmdGitURL(d, nil), NewCmdGitClone(d, nil), NewCmdGitLog(d, nil))
	return cmd
}

// GitURLOptions are the flags of `git url`.
type GitURLOptions struct {
	Name       environment.Name
	Repository string // "": of the server, and what it holds
	InCluster  bool
	Output     string // "", json or yaml

	deps *Deps
}

// NewCmdGitURL returns the `git url` command. Tests pass run to capture the options.
func NewCmdGitURL(d *Deps, run func(context.Context, *GitURLOptions) error) *cobra.Command {
	if run == nil {
		run = runGitURL
	}
	o := &GitURLOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "url [REPOSITORY]",
		Short: "Print a repository's URL",
		Long: `Print the URL of a repository on the environment's git server, or, when none is named,
those of all that it has. A repository that is named need not exist: the first push
creates it.`,
		Example: `  slipway git url
  slipway git url slipway/config

  # as a workload in the cluster names it
  slipway git url apps/hello --in-cluster`,
		Args: atMostOne("repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Repository = args[0]
			}
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	addOutput(cmd, &o.Output, "json", "yaml")
	cmd.Flags().BoolVar(&o.InCluster, "in-cluster", false, "print the URL that pods use")
	cmd.ValidArgsFunction = completeRepositories(d, &o.Name)
	return cmd
}

// gitURL is what `git url` says of one repository.
type gitURL struct {
	Repository string `json:"repository"`
	URL        string `json:"url"`
	InCluster  string `json:"inCluster"`
}

func runGitURL(ctx context.Context, o *GitURLOptions) error {
	host, err := o.deps.Git(ctx, o.Name)
	if err != nil {
		return err
	}
	names := []string{o.Repository}
	if o.Repository == "" {
		listing, err := container.List(ctx, host)
		if err != nil {
			return err
		}
		names = nil
		for _, repository := range listing.Repositories {
			names = append(names, repository.Name)
		}
	}
	urls := []gitURL{}
	for _, name := range names {
		name, err := repositoryName(o.Name, host, name)
		if err != nil {
			return err
		}
		urls = append(urls, gitURL{name, repositoryURL(host, name), repositoryURL(o.Name.GitInCluster(), name)})
	}
	switch {
	case o.Output != "":
		return ui.PrintData(o.deps.Streams, o.Output, urls)
	case len(urls) == 0:
		ui.Printf(o.deps.Streams, "The git server at http://%s/ has no repositories yet.\n", host)
	}
	for _, url := range urls {
		if o.InCluster {
			url.URL = url.InCluster
		}
		ui.Printf(o.deps.Streams, "%s\n", url.URL)
	}
	return nil
}

func repositoryURL(host, name string) string { return "http://" + host + "/" + name + ".git" }

// repositoryName takes off what people write around a repository's name: the server, as this machine or a pod names it,
// and .git.
func repositoryName(environment environment.Name, host, written string) (string, error) {
	name := strings.TrimPrefix(written, "http://")
	for _, server := range []string{host, strings.Replace(host, "localhost", "127.0.0.1", 1), environment.GitInCluster()} {
		name = strings.TrimPrefix(name, server+"/")
	}
	name = strings.TrimSuffix(strings.Trim(name, "/"), ".git")
	if name == "" || strings.ContainsAny(name, ": \\") || strings.Contains("/"+name+"/", "/../") || path.Clean(name) != name {
		return "", hint.With(fmt.Errorf("%q is no name of a repository", written), "name it OWNER/NAME, such as slipway/config")
	}
	return name, nil
}

// GitCloneOptions are the arguments of `git clone`.
type GitCloneOptions struct {
	Name       environment.Name
	Repository string
	Folder     string // "" is git's choice

	deps *Deps
}

// NewCmdGitClone returns the `git clone` command. Tests pass run to capture the options.
func NewCmdGitClone(d *Deps, run func(context.Context, *GitCloneOptions) error) *cobra.Command {
	if run == nil {
		run = runGitClone
	}
	o := &GitCloneOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "clone REPOSITORY [FOLDER]",
		Short: "Clone a repository with git",
		Long: `Clone a repository of the environment's git server into a folder, with the git program
of this machine.`,
		Example: `  slipway git clone slipway/config
  slipway git clone slipway/config /tmp/config`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage(cmd, fmt.Errorf("`%s` takes a repository and a folder, but got %q", cmd.CommandPath(), strings.Join(args, " ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Repository = args[0]
			if len(args) > 1 {
				o.Folder = args[1]
			}
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	cmd.ValidArgsFunction = completeRepositories(d, &o.Name)
	return cmd
}

func runGitClone(ctx context.Context, o *GitCloneOptions) error {
	host, err := o.deps.Git(ctx, o.Name)
	if err != nil {
		return err
	}
	name, err := repositoryName(o.Name, host, o.Repository)
	if err != nil {
		return err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return hint.Withf(errors.New("there is no git program on this machine"), "install git; the repository is at %s", repositoryURL(host, name))
	}
	arguments := []string{"clone", "--", repositoryURL(host, name)}
	if o.Folder != "" {
		arguments = append(arguments, o.Folder)
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdin, command.Stdout, command.Stderr = o.deps.Streams.In, o.deps.Streams.Out, o.deps.Streams.Err
	if err := command.Run(); err != nil {
		return hint.Withf(fmt.Errorf("cloning %s: %w", name, err), "`slipway git url%s` lists the repositories that there are", named(o.Name))
	}
	return nil
}

// GitLogOptions are the flags of `git log`.
type GitLogOptions struct {
	Name       environment.Name
	Repository string
	Branch     string // "" is the repository's own
	Limit      int
	Output     string // "", json or yaml

	deps *Deps
}

// NewCmdGitLog returns the `git log` command. Tests pass run to capture the options.
func NewCmdGitLog(d *Deps, run func(context.Context, *GitLogOptions) error) *cobra.Command {
	if run == nil {
		run = runGitLog
	}
	o := &GitLogOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "log REPOSITORY",
		Short: "List the commits of a repository",
		Long: `List the newest commits of a repository on the environment's git server, and the files
that each changed, without a clone.`,
		Example: `  slipway git log slipway/config
  slipway git log slipway/config --branch staging --limit 3

  # the newest commit, for scripts
  slipway git log slipway/config --limit 1 -o json | jq -r '.[0].hash'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, fmt.Errorf("`%s` takes one repository, but got %q", cmd.CommandPath(), strings.Join(args, " ")))
			}
			if o.Limit < 1 || o.Limit > 1000 {
				return usage(cmd, fmt.Errorf("--limit %d is not from 1 to 1000", o.Limit))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Repository = args[0]
			return run(cmd.Context(), o)
		},
	}
	addName(cmd, d, &o.Name)
	addOutput(cmd, &o.Output, "json", "yaml")
	cmd.Flags().StringVar(&o.Branch, "branch", "", "the branch, tag or commit to begin at (default: the repository's main branch)")
	_ = cmd.RegisterFlagCompletionFunc("branch", completeBranches(d, &o.Name)) // fails for a flag that is not there alone
	cmd.Flags().IntVar(&o.Limit, "limit", contents.DefaultLimit, "how many commits to list, at most")
	cmd.ValidArgsFunction = completeRepositories(d, &o.Name)
	return cmd
}

func runGitLog(ctx context.Context, o *GitLogOptions) error {
	host, err := o.deps.Git(ctx, o.Name)
	if err != nil {
		return err
	}
	name, err := repositoryName(o.Name, host, o.Repository)
	if err != nil {
		return err
	}
	commits, err := container.Log(ctx, host, name, o.Branch, o.Limit)
	if err != nil {
		return hint.Withf(err, "`slipway git url%s` lists the repositories that there are", named(o.Name))
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, commits)
	}
	table := ui.NewTable(o.deps.Streams, "")
	table.Row(ui.Text("COMMIT", "WHEN", "AUTHOR", "MESSAGE AND FILES")...)
	for _, commit := range commits {
		message, _, _ := strings.Cut(strings.TrimSpace(commit.Message), "\n")
		author, _, _ := strings.Cut(commit.Author, " <") // the address is in -o json
		table.Row(ui.Text(commit.Hash[:12], ago(commit.Time), author, strings.TrimSuffix(message+": "+fewPaths(commit.Files), ": "))...)
	}
	return table.Print()
}

// fewPaths names the files of a commit as long as they fit a line.
func fewPaths(paths []string) string {
	const shown = 2
	if len(paths) <= shown {
		return strings.Join(paths, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(paths[:shown], " "), len(paths)-shown)
}

// findGit returns the address of an environment's git server.
func findGit(ctx context.Context, name environment.Name) (string, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer engine.Close()
	found, err := container.Find(ctx, engine, name)
	if errors.Is(err, docker.ErrNotFound) {
		return "", hint.Withf(fmt.Errorf("environment %q has no git server", name), "`slipway profiles` says which profile has one; `slipway up%s --profile PROFILE` brings it", named(name))
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("localhost:%d", found.HostPort(environment.GitPort)), nil
}

func completeRepositories(d *Deps, name *environment.Name) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var choices []string
		for _, repository := range completions(cmd.Context(), d, *name) {
			choices = append(choices, repository.Name)
		}
		return choices, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeBranches offers the branches of the repository that is named already.
func completeBranches(d *Deps, name *environment.Name) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var choices []string
		for _, repository := range completions(cmd.Context(), d, *name) {
			for _, branch := range repository.Branches {
				if len(args) == 0 || repository.Name == strings.TrimSuffix(args[0], ".git") {
					choices = append(choices, branch.Name)
				}
			}
		}
		slices.Sort(choices)
		return slices.Compact(choices), cobra.ShellCompDirectiveNoFileComp
	}
}

// completions are the repositories, as far as they can be had while somebody waits at a prompt.
func completions(ctx context.Context, d *Deps, name environment.Name) []contents.Repository {
	ctx, cancel := context.WithTimeout(ctx, nameCompletionLimit)
	defer cancel()
	host, err := d.Git(ctx, name)
	if err != nil {
		return nil
	}
	listing, err := container.List(ctx, host)
	if err != nil {
		return nil
	}
	return listing.Repositories
}
