#!/bin/sh
# What people write today: SYSFS ADDRESS..., with all that shares a group.
sysfs=$1
shift
for address; do
    for device in "$sysfs/bus/pci/devices/$address"/iommu_group/devices/*; do
        read -r class <"$device/class"
        case $class in
        0x0604*) continue ;;
        esac
        echo vfio-pci >"$device/driver_override"
        echo "${device##*/}" >"$sysfs/bus/pci/drivers_probe"
    done
done
