# NixOS, with systemd in the initrd: what systemd/vfio-bind.service, vfio-bind-root.target and
# vfio-bind-give-back.service are elsewhere. docs/distributions.md says how it is used.
{ config, lib, ... }:

let
  cfg = config.boot.initrd.vfio-bind;
  agent = "/usr/bin/vfio-bind-agent";
  inInitrd = [ "/etc/initrd-release" ];
in
{
  options.boot.initrd.vfio-bind = {
    enable = lib.mkEnableOption "binding PCI functions to vfio-pci before their native drivers";

    agent = lib.mkOption {
      type = lib.types.path;
      description = "The static executable vfio-bind-agent.";
      example = lib.literalExpression "./vfio-bind-agent";
    };

    words = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "What is asked for, as on the kernel command line.";
      example = [ "vfio.bind=0000:42:00.0" ];
    };

    protected = lib.mkOption {
      type = lib.types.lines;
      default = "";
      description = ''
        What `vfio-bind protected` prints on the machine. Without it, what stores is taken only where it is named one
        by one.
      '';
      example = "vfio.protect=0000:00:1d.0/00.0@144d:a80a";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = config.boot.initrd.systemd.enable;
        message = "boot.initrd.vfio-bind needs boot.initrd.systemd.enable = true";
      }
    ];

    boot.kernelParams = cfg.words;

    # To be there, not to be loaded: the agent loads them, with what modprobe.d says.
    boot.initrd.availableKernelModules = [
      "vfio-pci"
      "vfio_iommu_type1"
    ];

    boot.initrd.systemd = {
      contents = {
        ${agent}.source = cfg.agent;
      }
      // lib.optionalAttrs (cfg.protected != "") {
        "/etc/vfio-bind/protected.conf".text = cfg.protected;
      };

      services.vfio-bind = {
        description = "Bind PCI functions to vfio-pci before their native drivers";
        wantedBy = [ "sysinit.target" ];
        before = [
          "sysinit.target"
          "systemd-modules-load.service"
          "systemd-udevd.service"
          "systemd-udev-trigger.service"
        ];
        unitConfig = {
          DefaultDependencies = false;
          ConditionPathExists = inInitrd;
        };
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "-${agent} apply --within 90";
          TimeoutStartSec = 120;
        };
      };

      targets.vfio-bind-root = {
        description = "Root device (watched by vfio-bind)";
        wantedBy = [ "sysinit.target" ];
        after = [ "initrd-root-device.target" ];
        unitConfig = {
          DefaultDependencies = false;
          ConditionPathExists = inInitrd;
          JobTimeoutSec = 60;
          OnFailure = "vfio-bind-give-back.service";
        };
      };

      services.vfio-bind-give-back = {
        description = "Give back what the root file system may be on";
        before = [
          "emergency.service"
          "rescue.service"
        ];
        unitConfig = {
          DefaultDependencies = false;
          ConditionPathExists = inInitrd ++ [ "/run/vfio-bind/report.json" ];
          ConditionPathExistsGlob = "!/run/systemd/ask-password/ask.*";
        };
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "-${agent} give-back";
          TimeoutStartSec = 120;
        };
      };
    };
  };
}
