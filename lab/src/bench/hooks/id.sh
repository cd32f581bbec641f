#!/bin/sh
# What people write today: SYSFS VENDOR:DEVICE, with 0x.
for device in "$1"/bus/pci/devices/*; do
    read -r vendor <"$device/vendor"
    read -r model <"$device/device"
    if [ "$vendor:$model" = "$2" ]; then
        echo vfio-pci >"$device/driver_override"
        echo "${device##*/}" >"$1/bus/pci/drivers_probe"
    fi
done
