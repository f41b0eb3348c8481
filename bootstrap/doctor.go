package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
)

// Level is how bad a finding is.
type Level string

// The levels. `up` stops at an error.
const (
	LevelOK      Level = "ok"
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Finding is what a check of the host found.
type Finding struct {
	Code    string `json:"code"` // stable, for programs
	Level   Level  `json:"level"`
	Message string `json:"message"`       // one sentence
	Fix     string `json:"fix,omitempty"` // what to do, when it is not ok
}

func (f Finding) err() error { return hint.With(errors.New(f.Message), f.Fix) }

// DoctorOptions say which environment's needs are checked.
type DoctorOptions struct {
	Name environment.Name
}

// Doctor checks what `up` needs of the host, and changes nothing.
func Doctor(ctx context.Context, o DoctorOptions) ([]Finding, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return []Finding{{Code: "engine", Level: LevelError, Message: err.Error(), Fix: strings.Join(hint.Of(err), "; ")}}, nil
	}
	defer engine.Close()
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	findings := append([]Finding{{Code: "engine", Level: LevelOK, Message: fmt.Sprintf("Docker engine %s answers at %s", info.Version, engine.Host())}}, checkHost(engine, info)...)
	return append(findings, checkPorts(ctx, engine, o.Name)...), nil
}

// checkHost looks at what the engine and the host must have. The findings are in a fixed order.
func checkHost(engine *docker.Engine, info docker.Info) []Finding {
	return []Finding{
		checkProgram(), checkSystem(info), checkCgroup(info), checkCapabilities(engine), checkDisk(engine, info), checkInotify(info), checkProxy(),
	}
}

// checkProgram: kind's library runs the docker program.
func checkProgram() Finding {
	if _, err := exec.LookPath("docker"); err != nil {
		return Finding{"docker-program", LevelError, "the docker program is not on the PATH, and kind needs it", "install Docker's command line (Debian: `apt-get install docker.io`)"}
	}
	return Finding{Code: "docker-program", Level: LevelOK, Message: "the docker program is on the PATH"}
}

func checkSystem(info docker.Info) Finding {
	if info.OS != "linux" {
		return Finding{"engine-system", LevelError, "the engine runs " + info.OS + " containers", "switch Docker to Linux containers"}
	}
	if info.Architecture != embeddedArchitecture {
		return Finding{"engine-system", LevelError, fmt.Sprintf("the engine runs %s programs, and this slipway carries slipwayd for %s", info.Architecture, embeddedArchitecture),
			"use the slipway that was built for " + info.Architecture}
	}
	return Finding{Code: "engine-system", Level: LevelOK, Message: "the engine runs linux/" + info.Architecture}
}

// checkCgroup: the kubelet refuses cgroup v1 unless told otherwise, which `up` does; the official node image's systemd
// may still refuse to start there.
func checkCgroup(info docker.Info) Finding {
	if info.CgroupVersion == 1 {
		return Finding{"cgroup", LevelOK, "the host has cgroup v1: the kubelet is told to accept it, but the official node image may not start here", ""}
	}
	return Finding{Code: "cgroup", Level: LevelOK, Message: "the host has cgroup v2"}
}

func checkCapabilities(engine *docker.Engine) Finding {
	if lacksSysResource() && strings.HasPrefix(engine.Host(), "unix://") {
		return Finding{"capabilities", LevelOK, "this machine's capability bounding set is not full: containerd in the node is told to leave OOM scores alone", ""}
	}
	return Finding{Code: "capabilities", Level: LevelOK, Message: "the capability bounding set holds what the node needs"}
}

// capSysResource is CAP_SYS_RESOURCE's bit (linux/capability.h), without which no OOM score can be lowered.
const capSysResource = 24

// lacksSysResource reads this process's bounding set; where there is none to read, nothing is lacking.
func lacksSysResource() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if set, found := strings.CutPrefix(line, "CapBnd:"); found {
			bits, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && bits&(1<<capSysResource) == 0
		}
	}
	return false
}

// The disk limits: the node needs about 1 GB beside its image, an app's images some hundreds of MB; the kubelet of a
// kind node never evicts, so a full disk shows as etcd and the engine failing.
const (
	diskErrorBytes   = 2 << 30
	diskWarningBytes = 8 << 30
)

func checkDisk(engine *docker.Engine, info docker.Info) Finding {
	free, known := freeBytes(info.DataRoot)
	if !known || !strings.HasPrefix(engine.Host(), "unix://") {
		return Finding{Code: "disk", Level: LevelOK, Message: "free disk space of the engine is not known from here"}
	}
	return judgeDisk(free, info.DataRoot)
}

func judgeDisk(free uint64, where string) Finding {
	message := fmt.Sprintf("%.1f GiB free in %s", float64(free)/(1<<30), where)
	switch {
	case free < diskErrorBytes:
		return Finding{"disk", LevelError, "the disk is nearly full: " + message, "free at least 2 GiB, for instance with `docker system df` and `docker image prune`"}
	case free < diskWarningBytes:
		return Finding{"disk", LevelWarning, "there is little disk space: " + message, "8 GiB or more let you work for a while"}
	}
	return Finding{Code: "disk", Level: LevelOK, Message: message}
}

// inotifyInstances is what a node with some thirty pods needs: the kubelet and each container's shim take some.
const inotifyInstances = 128

func checkInotify(info docker.Info) Finding {
	content, err := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
	if err != nil {
		return Finding{Code: "inotify", Level: LevelOK, Message: "inotify limits are not known from here"}
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err == nil && limit < inotifyInstances {
		return Finding{"inotify", LevelWarning, fmt.Sprintf("only %d inotify instances are allowed: pods may fail with \"too many open files\"", limit),
			"run `sysctl fs.inotify.max_user_instances=512`"}
	}
	return Finding{Code: "inotify", Level: LevelOK, Message: fmt.Sprintf("%d inotify instances are allowed", limit)}
}

// checkProxy: kind hands the proxy's variables to the node, where localhost is another one.
func checkProxy() Finding {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if os.Getenv(name) != "" {
			return Finding{Code: "proxy", Level: LevelOK, Message: name + " is set: the node uses it too"}
		}
	}
	return Finding{Code: "proxy", Level: LevelOK, Message: "no proxy is set"}
}

// checkPorts looks at the default ports, unless the environment is there and has its own.
func checkPorts(ctx context.Context, engine *docker.Engine, name environment.Name) []Finding {
	if _, err := engine.Container(ctx, name.Node()); err == nil {
		return []Finding{{Code: "ports", Level: LevelOK, Message: fmt.Sprintf("environment %q is there and has its ports", name)}}
	}
	var findings []Finding
	for _, port := range []int{defaultRegistryPort, defaultIngressPort, defaultIngressTLSPort} {
		if where := takenOn(ctx, port); where != "" {
			findings = append(findings, Finding{"port-" + strconv.Itoa(port), LevelWarning, fmt.Sprintf("port %d is taken on %s", port, where), "`up` takes the next free one and says which"})
			continue
		}
		findings = append(findings, Finding{Code: "port-" + strconv.Itoa(port), Level: LevelOK, Message: fmt.Sprintf("port %d is free on 127.0.0.1 and ::1", port)})
	}
	return findings
}
