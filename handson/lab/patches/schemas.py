"""What CloudFormation knows of the types that the course's templates are made of.

Taken from the schemas of these types, which allow no other properties:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_EC2.html
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schema:
    """The names that a template may use for a type of resource, in strings of words.

    `attributes` are what Fn::GetAtt gets besides properties.
    """

    properties: str
    required: str = ""
    attributes: str = ""


SCHEMAS = {
    "AWS::EC2::VPC": Schema(
        properties=(
            "CidrBlock EnableDnsHostnames EnableDnsSupport InstanceTenancy Ipv4IpamPoolId "
            "Ipv4NetmaskLength Tags VpcEncryptionControl"
        ),
        attributes=(
            "CidrBlockAssociations DefaultNetworkAcl DefaultSecurityGroup Ipv6CidrBlocks VpcId"
        ),
    ),
    "AWS::EC2::InternetGateway": Schema(
        properties="Tags",
        attributes="InternetGatewayId",
    ),
    "AWS::EC2::VPCGatewayAttachment": Schema(
        properties="InternetGatewayId VpcId VpnGatewayId",
        required="VpcId",
        attributes="AttachmentType",
    ),
    "AWS::EC2::Subnet": Schema(
        properties=(
            "AssignIpv6AddressOnCreation AvailabilityZone AvailabilityZoneId CidrBlock "
            "EnableDns64 EnableLniAtDeviceIndex Ipv4IpamPoolId Ipv4NetmaskLength Ipv6CidrBlock "
            "Ipv6IpamPoolId Ipv6Native Ipv6NetmaskLength MapPublicIpOnLaunch OutpostArn "
            "PrivateDnsNameOptionsOnLaunch Tags VpcId"
        ),
        required="VpcId",
        attributes="BlockPublicAccessStates Ipv6CidrBlocks NetworkAclAssociationId SubnetId",
    ),
    "AWS::EC2::RouteTable": Schema(
        properties="Tags VpcId",
        required="VpcId",
        attributes="RouteTableId",
    ),
    "AWS::EC2::Route": Schema(
        properties=(
            "CarrierGatewayId CoreNetworkArn DestinationCidrBlock DestinationIpv6CidrBlock "
            "DestinationPrefixListId EgressOnlyInternetGatewayId GatewayId InstanceId "
            "LocalGatewayId NatGatewayId NetworkInterfaceId OdbNetworkArn RouteTableId "
            "TransitGatewayId VpcEndpointId VpcPeeringConnectionId"
        ),
        required="RouteTableId",
        attributes="CidrBlock",
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Schema(
        properties="RouteTableId SubnetId",
        required="RouteTableId SubnetId",
        attributes="Id",
    ),
    "AWS::EC2::VPCEndpoint": Schema(
        properties=(
            "DnsOptions IpAddressType PolicyDocument PrivateDnsEnabled ResourceConfigurationArn "
            "RouteTableIds SecurityGroupIds ServiceName ServiceNetworkArn ServiceRegion "
            "SubnetIds Tags VpcEndpointType VpcId"
        ),
        required="VpcId",
        attributes="CreationTimestamp DnsEntries Id NetworkInterfaceIds",
    ),
    "AWS::EC2::SecurityGroup": Schema(
        properties="GroupDescription GroupName SecurityGroupEgress SecurityGroupIngress Tags VpcId",
        required="GroupDescription",
        attributes="GroupId Id",
    ),
    "AWS::EC2::Instance": Schema(
        properties=(
            "AdditionalInfo Affinity AvailabilityZone BlockDeviceMappings CpuOptions "
            "CreditSpecification DisableApiTermination EbsOptimized ElasticGpuSpecifications "
            "ElasticInferenceAccelerators EnclaveOptions HibernationOptions HostId "
            "HostResourceGroupArn IamInstanceProfile ImageId InstanceInitiatedShutdownBehavior "
            "InstanceType Ipv6AddressCount Ipv6Addresses KernelId KeyName LaunchTemplate "
            "LicenseSpecifications MetadataOptions Monitoring NetworkInterfaces "
            "PlacementGroupName PrivateDnsNameOptions PrivateIpAddress "
            "PropagateTagsToVolumeOnCreation RamdiskId SecurityGroupIds SecurityGroups "
            "SourceDestCheck SsmAssociations SubnetId Tags Tenancy UserData Volumes"
        ),
        attributes="InstanceId PrivateDnsName PrivateIp PublicDnsName PublicIp VpcId",
    ),
}
