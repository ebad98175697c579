#!/bin/bash
# vm.sh BUILD: the cases that need a kernel of their own, in a virtual machine that has nothing but
# them: control groups of version 2 with all controllers, which a machine that serves the older
# version does not have. The kernel is Debian's for clouds, unpacked, not installed. Says how each
# case went; exit code 77 when there is no such machine to be had.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: vm.sh BUILD}
here=$build/vm
for tool in qemu-system-x86_64 busybox apt-get; do
    [ -n "$(type -P $tool)" ] && continue
    echo "vm: not run, $tool is not installed"
    exit 77
done
mkdir -p "$here"

fetch_kernel() {
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -1)
    (cd "$here" && apt-get download "$package" >/dev/null 2>&1 && dpkg-deb -x ./*.deb kernel)
}
if ! ls "$here"/kernel/boot/vmlinuz-* >/dev/null 2>&1 && ! fetch_kernel; then
    echo "vm: not run, the package linux-image-cloud-amd64 cannot be had"
    exit 77
fi

# The machine's first and only file system, in its memory.
root=$here/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp}
cp "$(type -P busybox)" "$root/bin/"
cp /etc/passwd "$root/etc/"
cp "$build/tests/unit_processes_cgroup" "$root/test"
for library in $(ldd "$root/test" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cat >"$root/init" <<'END'
#!/bin/busybox sh
mount() { /bin/busybox mount -t "$1" "$1" "$2"; }
mount proc /proc
mount sysfs /sys
mount devtmpfs /dev
mount tmpfs /tmp
mount cgroup2 /sys/fs/cgroup
echo +cpu +memory >/sys/fs/cgroup/cgroup.subtree_control
echo
/test
/bin/busybox poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$here/root.cpio.gz"

timeout 300 qemu-system-x86_64 -m 1024 -smp 2 -nographic -no-reboot -nic none \
    -kernel "$(ls "$here"/kernel/boot/vmlinuz-* | head -1)" -initrd "$here/root.cpio.gz" \
    -append 'console=ttyS0 quiet panic=-1' </dev/null 2>&1 | tr -d '\r' >"$here/log" || true
grep -E '^(ok|FAIL|skip) ' "$here/log" || echo "FAIL the machine does not start ($here/log)"
