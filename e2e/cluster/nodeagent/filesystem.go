package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Of a volume there are, below this folder of the node: NAME.xfs, its file; NAME, where that is mounted; and NAME/data, which pods get.
const (
	volumeRoot = "/var/local-volumes"
	nodeRoot   = "/proc/1/root"
	fileSuffix = ".xfs"
)

// largest is what a claim may ask for, so that a growth that fails can be had.
var largest = resource.MustParse("16Gi")

// operations of volumes come one after the other: what is being removed must not be mounted again.
var operations sync.Mutex

// volumeKind is what volumes of this node are made of.
type volumeKind string

const (
	fileSystem volumeKind = "file-system"
	folder     volumeKind = "folder"
)

// The files take space as they are written to. XFS, as the online growth of ext4 needs CAP_SYS_RESOURCE, which not every root has;
// it is made smaller than 300 MB only for who shows these three words of its own tests.
const (
	mountVolume  = `mkdir -p "$1"; mountpoint -q "$1" || mount -o loop,noatime "$1.xfs" "$1"`
	createVolume = `truncate -s "$2" "$1.xfs"; TEST_DIR=. TEST_DEV=. QA_CHECK_FS=1 mkfs.xfs -q -K -l size=8m "$1.xfs"; ` + mountVolume + `; mkdir -p "$1/data"; chmod 0777 "$1/data"`
	createFolder = `mkdir -p "$1/data"; chmod 0777 "$1/data"`
	growVolume   = `truncate -s "$2" "$1.xfs"; losetup -c "$(findmnt -no SOURCE "$1")"; xfs_growfs "$1"`
	removeVolume = `if mountpoint -q "$1"; then umount "$1"; fi; rm -rf "$1" "$1.xfs"`
	// The node is a container, whose /dev has the devices that were there when it began.
	loopDevices = `for n in $(seq 0 255); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done`
)

// onNode runs a script of the shell with the node's own programs, and what it mounts is mounted on the node.
func onNode(script string, arguments ...string) error {
	command := exec.Command("/usr/bin/nsenter", append([]string{"--target", "1", "--mount", "--", "/bin/sh", "-ec", script, "sh"}, arguments...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: nodeRoot}
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// supported tries whether this machine mounts a file.
func supported() volumeKind {
	if err := os.MkdirAll(nodeRoot+volumeRoot, 0o755); err != nil {
		log.Fatalf("%s: %v", volumeRoot, err)
	}
	probe := filepath.Join(volumeRoot, ".probe")
	err := onNode(loopDevices+"; "+createVolume+"; "+removeVolume, probe, "67108864")
	if err == nil {
		return fileSystem
	}
	log.Printf("no file systems of their own for volumes: %v", err)
	if err := onNode(removeVolume, probe); err != nil {
		log.Printf("%s: %v", probe, err)
	}
	return folder
}

// create makes a volume, or completes one that was begun, and returns the folder for pods.
func (k volumeKind) create(name string, bytes int64) (string, error) {
	operations.Lock()
	defer operations.Unlock()
	script := createFolder
	if k == fileSystem {
		// Whoever was interrupted begins anew: nobody has written anything yet.
		script = removeVolume + "; " + createVolume
	}
	path := filepath.Join(volumeRoot, name)
	return filepath.Join(path, "data"), onNode(script, path, strconv.FormatInt(bytes, 10))
}

// grow changes the size of a volume in use. A folder has none.
func grow(name string, bytes int64) error {
	operations.Lock()
	defer operations.Unlock()
	path := filepath.Join(volumeRoot, name)
	if _, err := os.Stat(nodeRoot + path + fileSuffix); os.IsNotExist(err) {
		return nil
	}
	return onNode(growVolume, path, strconv.FormatInt(bytes, 10))
}

func remove(name string) error {
	operations.Lock()
	defer operations.Unlock()
	return onNode(removeVolume, filepath.Join(volumeRoot, name))
}

// mountAll mounts what is not mounted: after a restart of the node that is everything.
func mountAll() {
	operations.Lock()
	defer operations.Unlock()
	files, _ := filepath.Glob(nodeRoot + volumeRoot + "/*" + fileSuffix)
	if len(files) == 0 {
		return
	}
	mounts, err := os.ReadFile("/proc/1/mounts")
	if err != nil {
		log.Printf("mounts of the node: %v", err)
		return
	}
	for _, file := range files {
		path := strings.TrimSuffix(strings.TrimPrefix(file, nodeRoot), fileSuffix)
		if strings.Contains(string(mounts), " "+path+" ") {
			continue
		}
		if err := onNode(mountVolume, path); err != nil {
			log.Printf("mounting %s: %v", path, err)
			continue
		}
		log.Printf("mounted %s", path)
	}
}
