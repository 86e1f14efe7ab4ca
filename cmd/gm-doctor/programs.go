package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gomahi/internal/host"
)

// locate finds a program beside this one, else on PATH.
func locate(program string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), program)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(program)
}

// programs says whether the programs are there that others need.
func programs(privileged bool) host.Finding {
	needed := []string{"gm-delay", "gm-link", "gm-loss", "gm-sandbox"}
	if !privileged {
		needed = append(needed, "gm-gateway")
	}
	var lack []string
	for _, p := range needed {
		if _, err := locate(p); err != nil {
			lack = append(lack, p)
		}
	}
	f := host.Finding{Name: "programs", OK: lack == nil, Vital: true, Says: "all are there"}
	if !f.OK {
		f.Says = "beside gm-doctor and on PATH there is no " + strings.Join(lack, ", no ")
		f.Means, f.Mend = "cannot start one another", "make install"
	}
	return f
}
