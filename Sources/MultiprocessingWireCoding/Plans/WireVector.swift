// SPDX-License-Identifier: Apache-2.0
//
// SIMD vectors of every width: each pattern of bits is one, since their scalars are integers and floating-point numbers.

/// A SIMD vector.
protocol WireVector: WirePlanned, Codable {}

extension WireVector {
    static func makePlan() -> AnyPlan? { BitwisePlan<Self>() }
}

extension SIMD2: WireSpecialized where Scalar: Codable {}
extension SIMD2: WirePlanned where Scalar: Codable {}
extension SIMD2: WireVector where Scalar: Codable {}

extension SIMD3: WireSpecialized where Scalar: Codable {}
extension SIMD3: WirePlanned where Scalar: Codable {}
extension SIMD3: WireVector where Scalar: Codable {}

extension SIMD4: WireSpecialized where Scalar: Codable {}
extension SIMD4: WirePlanned where Scalar: Codable {}
extension SIMD4: WireVector where Scalar: Codable {}

extension SIMD8: WireSpecialized where Scalar: Codable {}
extension SIMD8: WirePlanned where Scalar: Codable {}
extension SIMD8: WireVector where Scalar: Codable {}

extension SIMD16: WireSpecialized where Scalar: Codable {}
extension SIMD16: WirePlanned where Scalar: Codable {}
extension SIMD16: WireVector where Scalar: Codable {}

extension SIMD32: WireSpecialized where Scalar: Codable {}
extension SIMD32: WirePlanned where Scalar: Codable {}
extension SIMD32: WireVector where Scalar: Codable {}

extension SIMD64: WireSpecialized where Scalar: Codable {}
extension SIMD64: WirePlanned where Scalar: Codable {}
extension SIMD64: WireVector where Scalar: Codable {}
