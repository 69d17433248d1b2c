//! Objects may get more members in later releases, and the document says so. That is the default of JSON Schema and OpenAPI, but
//! clients that openapi-generator makes for Go and Java refuse such answers otherwise (`findings/openapi-later-fields.sh`).

use utoipa::openapi::{
    OpenApi, RefOr, Schema,
    schema::{AdditionalProperties, ArrayItems},
};

/// Opens every object of the document that has members of its own.
pub(super) fn open(document: &mut OpenApi) {
    let components = document.components.iter_mut();
    for schema in components.flat_map(|components| components.schemas.values_mut()) {
        open_one(schema);
    }
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(response) = response else {
                    continue;
                };
                for content in response.content.values_mut() {
                    if let RefOr::T(content) = content
                        && let Some(schema) = &mut content.schema
                    {
                        open_one(schema);
                    }
                }
            }
        }
    }
}

fn open_one(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else {
        return;
    };
    match schema {
        Schema::Object(object) => {
            object.properties.values_mut().for_each(open_one);
            if !object.properties.is_empty() && object.additional_properties.is_none() {
                object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                open_one(items);
            }
        }
        Schema::OneOf(one_of) => one_of.items.iter_mut().for_each(open_one),
        Schema::AllOf(all_of) => all_of.items.iter_mut().for_each(open_one),
        Schema::AnyOf(any_of) => any_of.items.iter_mut().for_each(open_one),
        _ => {}
    }
}
