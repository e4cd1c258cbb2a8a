#!/bin/sh
# An encrypted volume on a whole virtual machine of 1 GB: made by `yunjian footage volume create --luks --install` with a
# key on a USB stick and with a TPM, and opened and mounted by itself after a restart. Needs root and mmdebstrap; brings
# its own qemu and swtpm. Emulated: a quarter of an hour. Ends with 1 when a volume is not there after the restart.
#   scripts/luks-trial.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d "${TMPDIR:-/tmp}/yunjian-luks.XXXXXX")}
root=$work/root
mkdir -p "$work"
chmod 755 "$work"
python=$here/.venv/lib/python3.11/site-packages

mmdebstrap --quiet --variant=minbase --include=linux-image-amd64,systemd-sysv,udev,kmod,cryptsetup,e2fsprogs,util-linux,python3,tpm2-tools,libtss2-rc0,qemu-system-x86,swtpm \
  bookworm "$root"
mkdir -p "$root/opt/y"
cp -r "$here/agent" "$here/firmware_bridge" "$root/opt/y/"
for package in pydantic pydantic_core ruamel annotated_types typing_inspection typing_extensions.py; do
  cp -r "$python/$package" "$root/opt/y/"
done
cat >"$root/opt/y/facility.yaml" <<'YAML'
facility: {id: f1, name: trial}
paths: {data: /var/lib/yunjian, runtime: /run/yunjian}
footage: {volumes: [/srv/footage]}
rooms: [{id: r1, name: one}]
cameras: [{id: c1, name: c1, room: r1, main: 'rtsp://127.0.0.1/x'}]
YAML
cat >"$root/opt/y/trial.sh" <<'TRIAL'
#!/bin/sh
exec >/dev/console 2>&1
cd /opt/y
yunjian() { python3 -m agent --lang en footage "$@" --config facility.yaml; }
if [ -e /var/lib/made ]; then
  for _ in $(seq 120); do mountpoint -q /srv/footage && break; sleep 1; done
  systemctl --no-pager status systemd-cryptsetup@yunjian_srv_footage srv-footage.mount
  yunjian volumes
  [ -f /srv/footage/VOLUME.json ] && echo "TRIAL: mounted after a restart"
  systemctl poweroff --force
fi
key=tpm
if grep -q trial=usb /proc/cmdline; then
  mkfs.ext4 -q -F /dev/vdc
  mkdir -p /media/stick && mount /dev/vdc /media/stick
  key=usb:/media/stick/yunjian.key
fi
mkdir -p /var/lib/yunjian
yunjian volume create /srv/footage --luks /dev/vdb --key "$key" --install && echo "TRIAL: made"
yunjian volume create /srv/other --luks /dev/vdb --key "$key" --erase /dev/vdb || echo "TRIAL: refused with $?"
touch /var/lib/made
sync
systemctl reboot --force
TRIAL
chmod +x "$root/opt/y/trial.sh"
cat >"$root/etc/systemd/system/trial.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/opt/y/trial.sh
Environment=PYTHONPATH=/opt/y
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../trial.service "$root/etc/systemd/system/multi-user.target.wants/trial.service"
ln -s /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
echo "/dev/vda / ext4 rw 0 1" >"$root/etc/fstab"

truncate -s 3G "$work/disk.img"
mkfs.ext4 -q -d "$root" "$work/disk.img"
mkdir -p "$root/img/tpm"
cp "$root"/boot/vmlinuz-* "$root/img/vmlinuz"
cp "$root"/boot/initrd.img-* "$root/img/initrd"
mount --bind /dev "$root/dev"
trap 'umount "$root/dev"' EXIT
failed=0
for key in usb tpm; do
  cp --sparse=always "$work/disk.img" "$root/img/a.img"
  truncate -s 0 "$root/img/b.img" "$root/img/c.img"
  truncate -s 3G "$root/img/b.img"
  truncate -s 64M "$root/img/c.img"
  chip=
  if [ $key = tpm ]; then
    chroot "$root" swtpm socket --tpm2 --daemon --terminate --tpmstate dir=/img/tpm --ctrl type=unixio,path=/img/tpm.sock
    chip="-chardev socket,id=chip,path=/img/tpm.sock -tpmdev emulator,id=tpm0,chardev=chip -device tpm-tis,tpmdev=tpm0"
  fi
  # shellcheck disable=SC2086 -- a list of words
  timeout 900 chroot "$root" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 1024 -nographic -monitor none \
    -serial "file:/img/$key.log" -kernel /img/vmlinuz -initrd /img/initrd \
    -append "root=/dev/vda rw console=ttyS0 quiet trial=$key" -net none $chip \
    -drive file=/img/a.img,format=raw,if=virtio -drive file=/img/b.img,format=raw,if=virtio \
    -drive file=/img/c.img,format=raw,if=virtio || true
  grep -v "^.c" "$root/img/$key.log" | grep -a -E "TRIAL|crypt|encrypted" || true
  for said in "TRIAL: made" "TRIAL: refused with 4" "TRIAL: mounted after a restart"; do
    grep -a -q "$said" "$root/img/$key.log" || { echo "$key: not said: $said ($root/img/$key.log)" >&2; failed=1; }
  done
done
exit $failed
